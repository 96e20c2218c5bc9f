"""The data of a chaos run: what clients requested and received, and what the system stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

IN_PROGRESS = "request_in_progress"


class Operation(StrEnum):
    """The operations that a client can request."""

    BOOK = "book"
    CONFIRM = "confirm"
    CANCEL = "cancel"


@dataclass(frozen=True)
class ClientResponse:
    """One response to a client; `status` is None if none arrived."""

    operation: Operation
    status: int | None
    code: str = ""
    booking_id: str = ""
    booking_status: str = ""
    tickets: frozenset[str] = frozenset()

    @property
    def succeeded(self) -> bool:
        """Whether the operation was carried out."""
        return self.status in (HTTPStatus.OK, HTTPStatus.CREATED)

    @property
    def final(self) -> bool:
        """Whether the client may stop retrying; 5xx, no response and "in progress" are not."""
        return self.status is not None and self.status < 500 and self.code != IN_PROGRESS


@dataclass
class Purchase:
    """The only booking of one buyer, under one idempotency key, with every response to it."""

    buyer_id: str
    buyer_email: str
    event_id: str
    key: str
    quantities: Mapping[str, int]
    """Requested quantity by ticket type."""
    hold: bool
    responses: list[ClientResponse] = field(default_factory=list)

    def responses_to(self, operation: Operation) -> list[ClientResponse]:
        """Return the responses to one operation."""
        return [each for each in self.responses if each.operation is operation]

    def successes(self, operation: Operation) -> list[ClientResponse]:
        """Return the successful responses to one operation."""
        return [each for each in self.responses_to(operation) if each.succeeded]

    def rejected(self, operation: Operation) -> bool:
        """Whether every attempt got a response and each response was a final error."""
        responses = self.responses_to(operation)
        return bool(responses) and all(each.final and not each.succeeded for each in responses)


@dataclass(frozen=True)
class InventoryRow:
    """A row of the inventory."""

    event_id: str
    ticket_type_id: str
    capacity: int
    held: int
    sold: int


@dataclass(frozen=True)
class StoredBooking:
    """A booking with its lines, as stored."""

    id: str
    event_id: str
    user_id: str
    status: str
    version: int
    was_confirmed: bool
    lines: Mapping[str, int]


@dataclass(frozen=True)
class StoredTicket:
    """A ticket, as stored."""

    id: str
    booking_id: str
    ticket_type_id: str
    code: str
    status: str


@dataclass(frozen=True)
class StoredKey:
    """An idempotency key, as stored."""

    user_id: str
    key: str
    booking_id: str


@dataclass(frozen=True)
class LoggedMessage:
    """A message of the event log; redeliveries have the same id."""

    id: str
    type: str
    subject: str
    version: int


@dataclass(frozen=True)
class Email:
    """A delivered e-mail; its Message-ID begins with the id of the message that caused it."""

    message_id: str
    recipient: str
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class DuplicateWindow:
    """A period in which an e-mail may be sent without a record of it (seconds since the epoch)."""

    began: float
    ended: float


@dataclass(frozen=True)
class Snapshot:
    """The state of the system after a run."""

    inventory: Sequence[InventoryRow] = ()
    bookings: Sequence[StoredBooking] = ()
    tickets: Sequence[StoredTicket] = ()
    keys: Sequence[StoredKey] = ()
    event_log: Sequence[LoggedMessage] = ()
    emails: Sequence[Email] = ()
    handled_by_notification: frozenset[str] = frozenset()
    """Ids of the messages that notification has handled."""
    handled_by_booking: frozenset[str] = frozenset()
    """Ids of the messages that booking has handled."""
    backlog: Mapping[str, int] = field(default_factory=dict)
    """Number of unhandled rows or messages by outbox or queue."""
