"""The queue of deliveries in PostgreSQL, shared by all workers. docs/adr/0015 explains it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID, uuid4

import asyncpg
from goticket_platform.postgres import is_transient, load_queries
from goticket_platform.retry import RetryPolicy, retry
from prometheus_client import Counter

from notification.bookings import LARGE_TICKETS, NotificationKind, NotificationRequest
from notification.event_json import event_from_json
from notification.grouped_calls import GroupedCalls

CLAIM_LEASE = timedelta(seconds=15)
"""A claim is renewed several times within this time, until sending begins. The claim of a crashed
worker is taken over after it; that repeats no e-mail."""
FAIR_SHARE = timedelta(seconds=1)
"""A buyer's next e-mail starts this much later per ticket of the e-mail before. It is only an
order: nothing waits while a sender is free."""
MAX_GROUP_SIZE = 200
"""Most rows of one statement."""

EMAILS = Counter("goticket_notification_emails", "Attempts to send an e-mail", ["kind", "outcome"])

QUERIES = load_queries("notification")

_RECORD = RetryPolicy(first_wait=0.1, longest_wait=2.0, max_elapsed=30.0)
_BEGIN = RetryPolicy(first_wait=0.1, longest_wait=1.0, max_elapsed=5.0)
_BEFORE_ALL_EVENTS = UUID(int=0)


class SenderGroup(StrEnum):
    """The groups of senders; each has its own concurrency."""

    REGULAR = "regular"
    LARGE = "large"
    EVENT_CHANGES = "event_changes"
    """E-mails about changes of events: few connections, so that they delay no tickets."""


class Status(StrEnum):
    """State of a delivery; the migration explains each."""

    PENDING = "pending"
    DEFERRED = "deferred"
    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    SUPERSEDED = "superseded"
    REFUSED = "refused"


@dataclass(frozen=True)
class Delivery:
    """A claimed delivery. `attempts` includes this one; `failures` counts the attempts in which
    the booking was unknown."""

    request: NotificationRequest
    lease_token: UUID
    attempts: int
    failures: int


@dataclass(frozen=True)
class Outcome:
    """The result of an attempt. A deferred delivery has `retry_after`."""

    status: Status
    reason: str | None = None
    retry_after: timedelta | None = None
    is_failure: bool = False


class DeliveryQueue:
    """Every operation is one short statement for many deliveries.

    No connection and no transaction is held while an e-mail is being sent. `send_lease` must be
    longer than any attempt to send.
    """

    def __init__(
        self, pool: asyncpg.Pool, send_lease: timedelta, claim_lease: timedelta = CLAIM_LEASE
    ) -> None:
        self._pool = pool
        self._send_lease = send_lease
        self._claim_lease = claim_lease
        self._claimed: dict[UUID, Delivery] = {}
        self._last_event = dict.fromkeys(SenderGroup, _BEFORE_ALL_EVENTS)
        self._enqueueing = GroupedCalls(self._enqueue, MAX_GROUP_SIZE)
        self._beginning = GroupedCalls(self._begin, MAX_GROUP_SIZE)
        self._recording = GroupedCalls(self._record, MAX_GROUP_SIZE)

    async def enqueue(self, request: NotificationRequest) -> None:
        """Commit the delivery of a message; nothing happens if there is one.

        Raises:
            asyncpg.PostgresError: the delivery may not be stored.
        """
        await self._enqueueing.submit(request)

    async def claim(self, group: SenderGroup, limit: int) -> list[Delivery]:
        """Claim up to `limit` pending deliveries: from events in turn, of each event fairly."""
        is_from_the_first_event = self._last_event[group] == _BEFORE_ALL_EVENTS
        found = await self._claim(group, limit)
        if found or is_from_the_first_event:
            return found
        return await self._claim(group, limit)  # it has set the first event to be next

    async def begin(self, delivery: Delivery) -> bool:
        """Mark a claimed delivery as being sent; return whether the caller may send it.

        False means that the claim has expired, was taken over or is superseded.
        """
        self._claimed.pop(delivery.request.message_id, None)
        return await self._beginning.submit(delivery)

    async def record(self, delivery: Delivery, outcome: Outcome) -> None:
        """Record the outcome and release the lease.

        An outage of PostgreSQL is retried for as long as a lease lasts: without the record the
        e-mail would be repeated.
        """
        self._claimed.pop(delivery.request.message_id, None)
        await self._recording.submit((delivery, outcome))

    async def renew_claims(self) -> None:
        """Extend the claims of deliveries that this worker still prepares."""
        if claimed := list(self._claimed.values()):
            ids = [delivery.request.message_id for delivery in claimed]
            tokens = [delivery.lease_token for delivery in claimed]
            await self._pool.execute(QUERIES["renew"], ids, tokens, self._claim_lease)

    async def release_due(self) -> int:
        """Make deliveries pending whose back-off or lease has ended; return how many."""
        return _count(await self._pool.execute(QUERIES["release_due"], MAX_GROUP_SIZE))

    async def _enqueue(self, requests: Sequence[NotificationRequest]) -> Sequence[None]:
        columns = zip(*(_row(request) for request in requests), strict=True)
        superseded = await self._pool.fetch(
            QUERIES["enqueue"], *(list(each) for each in columns), FAIR_SHARE
        )
        for row in superseded:
            EMAILS.labels(row["kind"], Status.SUPERSEDED).inc()
        return [None] * len(requests)

    async def _claim(self, group: SenderGroup, limit: int) -> list[Delivery]:
        token = uuid4()
        rows = await self._pool.fetch(
            QUERIES["claim"], group, limit, token, self._claim_lease, self._last_event[group]
        )
        # Fewer events than rows wanted: all events got their turn.
        position, event = max(
            ((row["position"], row["event_id"]) for row in rows), default=(0, _BEFORE_ALL_EVENTS)
        )
        self._last_event[group] = event if position >= limit else _BEFORE_ALL_EVENTS
        claimed = [_delivery(row, token) for row in rows]
        self._claimed.update((delivery.request.message_id, delivery) for delivery in claimed)
        return claimed

    async def _begin(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        ids = [delivery.request.message_id for delivery in deliveries]
        tokens = [delivery.lease_token for delivery in deliveries]
        rows = await retry(
            lambda: self._pool.fetch(QUERIES["begin"], ids, tokens, self._send_lease),
            _BEGIN,
            is_transient,
        )
        begun = {row["message_id"] for row in rows}
        return [message_id in begun for message_id in ids]

    async def _record(self, outcomes: Sequence[tuple[Delivery, Outcome]]) -> Sequence[None]:
        rows = [
            (
                delivery.request.message_id,
                delivery.lease_token,
                outcome.status,
                outcome.reason,
                outcome.retry_after,
                int(outcome.is_failure),
            )
            for delivery, outcome in outcomes
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        await retry(lambda: self._pool.execute(QUERIES["record"], *columns), _RECORD, is_transient)
        for delivery, outcome in outcomes:
            EMAILS.labels(delivery.request.kind, outcome.status).inc()
        return [None] * len(outcomes)


def sender_group(ticket_count: int) -> SenderGroup:
    """Return the senders of an e-mail with that many tickets."""
    return SenderGroup.LARGE if ticket_count > LARGE_TICKETS else SenderGroup.REGULAR


def _row(request: NotificationRequest) -> tuple[object, ...]:
    return (
        request.message_id,
        request.event_id,
        request.booking_id,
        request.booking_version,
        request.buyer_id,
        request.kind,
        request.cause,
        request.ticket_count,
        sender_group(request.ticket_count),
        request.traceparent,
    )


def _delivery(row: asyncpg.Record, token: UUID) -> Delivery:
    request = NotificationRequest(
        message_id=row["message_id"],
        kind=NotificationKind(row["kind"]),
        event_id=row["event_id"],
        booking_id=row["booking_id"],
        booking_version=row["booking_version"],
        buyer_id=row["buyer_id"],
        ticket_count=row["ticket_count"],
        cause=row["cause"],
        traceparent=row["traceparent"],
        event_before=event_from_json(row["event_before"]) if row["event_before"] else None,
    )
    return Delivery(request, token, row["attempts"], row["failures"])


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
