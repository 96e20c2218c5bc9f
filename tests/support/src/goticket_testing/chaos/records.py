"""What a run knows: what clients asked for and were told, and what was found in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

IN_PROGRESS = "request_in_progress"


class Step(StrEnum):
    """What a client can ask for."""

    BOOK = "book"
    CONFIRM = "confirm"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Told:
    """One answer, or that none came (`status` is None)."""

    step: Step
    status: int | None
    code: str = ""
    booking_id: str = ""
    booking_status: str = ""
    tickets: frozenset[str] = frozenset()

    @property
    def granted(self) -> bool:
        """Whether it was a yes."""
        return self.status in (HTTPStatus.OK, HTTPStatus.CREATED)

    @property
    def definite(self) -> bool:
        """Whether a client may stop asking; 503, silence and "still running" leave it open."""
        return self.status is not None and self.status < 500 and self.code != IN_PROGRESS


@dataclass
class Order:
    """One buyer's one wish, under one idempotency key, and all answers to it."""

    buyer_id: str
    buyer_email: str
    event_id: str
    key: str
    wanted: Mapping[str, int]
    """Quantity by ticket type."""
    hold: bool
    told: list[Told] = field(default_factory=list)

    def answers(self, step: Step) -> list[Told]:
        """Return the answers to one step."""
        return [told for told in self.told if told.step is step]

    def granted(self, step: Step) -> list[Told]:
        """Return the yeses to one step."""
        return [told for told in self.answers(step) if told.granted]

    def refused(self, step: Step) -> bool:
        """Tell whether every single try was answered, each with a final no."""
        answers = self.answers(step)
        return bool(answers) and all(told.definite and not told.granted for told in answers)


@dataclass(frozen=True)
class Stock:
    """A row of the inventory."""

    event_id: str
    ticket_type_id: str
    capacity: int
    held: int
    sold: int


@dataclass(frozen=True)
class Booking:
    """A booking with its lines, as stored."""

    id: str
    event_id: str
    user_id: str
    status: str
    version: int
    was_confirmed: bool
    lines: Mapping[str, int]


@dataclass(frozen=True)
class Ticket:
    """A ticket, as stored."""

    id: str
    booking_id: str
    ticket_type_id: str
    code: str
    status: str


@dataclass(frozen=True)
class Key:
    """An idempotency key, as stored."""

    user_id: str
    key: str
    booking_id: str


@dataclass(frozen=True)
class Logged:
    """A message of the event log; redeliveries share their id."""

    id: str
    type: str
    subject: str
    version: int


@dataclass(frozen=True)
class Mail:
    """A mail that arrived; the first half of its Message-ID is the event it tells of."""

    event_id: str
    recipient: str
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Disturbance:
    """A time in which a letter may have gone out without being noted (seconds since the epoch)."""

    began: float
    ended: float


@dataclass(frozen=True)
class Snapshot:
    """All that was found."""

    stock: Sequence[Stock] = ()
    bookings: Sequence[Booking] = ()
    tickets: Sequence[Ticket] = ()
    keys: Sequence[Key] = ()
    log: Sequence[Logged] = ()
    mails: Sequence[Mail] = ()
    notified: frozenset[str] = frozenset()
    """Ids that notification's inbox remembers."""
    followed: frozenset[str] = frozenset()
    """Ids that booking's inbox remembers."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Rows and messages that nobody has handled yet, by where they are."""
