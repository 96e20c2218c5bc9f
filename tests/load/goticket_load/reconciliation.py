"""Compares the responses that clients received with the database and the event log."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from goticket_contracts.event_types import BOOKING_CONFIRMED
from goticket_contracts.topology import EVENT_LOG

from goticket_load.system_under_test import VHOST, SystemUnderTest

STORED_PREFIX = "01900000-0000-7000-8000-"
"""Prefix of the ids of rows that history.py stored in bulk."""
IDLE_SECONDS = 2.0
"""After this time without a message the log counts as read to its end."""

# Invariants of a booking database without load. Each query counts the violations.
RULES: dict[str, str] = {
    "sold + held <= capacity": """
        SELECT count(*) FROM booking.inventory
        WHERE sold + held > capacity OR sold < 0 OR held < 0""",
    "inventory equals the sum of bookings": """
        WITH booked AS (
            SELECT i.event_id, i.ticket_type_id,
                   sum(i.quantity) FILTER (WHERE b.status = 'confirmed') AS sold,
                   sum(i.quantity) FILTER (WHERE b.status = 'held') AS held
            FROM booking.booking_items AS i
            JOIN booking.bookings AS b ON b.event_id = i.event_id AND b.id = i.booking_id
            GROUP BY i.event_id, i.ticket_type_id)
        SELECT count(*) FROM booking.inventory AS i
        LEFT JOIN booked AS b USING (event_id, ticket_type_id)
        WHERE i.sold <> coalesce(b.sold, 0) OR i.held <> coalesce(b.held, 0)""",
    "each booking has its tickets": """
        WITH wanted AS (
            SELECT event_id, booking_id, sum(quantity) AS tickets
            FROM booking.booking_items GROUP BY event_id, booking_id),
        valid AS (
            SELECT event_id, booking_id, count(*) AS tickets
            FROM booking.tickets WHERE status <> 'void' GROUP BY event_id, booking_id)
        SELECT count(*) FROM booking.bookings AS b
        LEFT JOIN wanted AS w ON w.event_id = b.event_id AND w.booking_id = b.id
        LEFT JOIN valid AS v ON v.event_id = b.event_id AND v.booking_id = b.id
        WHERE coalesce(v.tickets, 0)
           <> CASE WHEN b.status = 'confirmed' THEN coalesce(w.tickets, 0) ELSE 0 END""",
    "totals equal the sums of lines": """
        SELECT count(*) FROM booking.bookings AS b
        LEFT JOIN (
            SELECT event_id, booking_id, sum(quantity * unit_price) AS total
            FROM booking.booking_items GROUP BY event_id, booking_id) AS i
            ON i.event_id = b.event_id AND i.booking_id = b.id
        WHERE b.total IS DISTINCT FROM i.total""",
    "one booking per idempotency key": f"""
        SELECT count(*) FROM (
            SELECT b.id FROM booking.bookings AS b
            LEFT JOIN booking.idempotency_keys AS k ON k.booking_id = b.id
            WHERE b.id::text NOT LIKE '{STORED_PREFIX}%'
            GROUP BY b.id HAVING count(k.key) <> 1) AS wrong""",  # noqa: S608 - no input
}


@dataclass(frozen=True)
class ClientResult:
    """The responses to the clients of one load."""

    events: tuple[str, ...]
    acknowledged: int
    """Bookings that got a 201."""
    unanswered: int
    """Requests whose outcome the client does not know."""


@dataclass(frozen=True)
class RuleResult:
    """One rule and the number of its violations."""

    rule: str
    violations: int
    note: str = ""


def reconcile(system: SystemUnderTest, results: Sequence[ClientResult]) -> list[RuleResult]:
    """Check every rule in every database; the relay must not run meanwhile."""
    checked = [
        RuleResult(rule, sum(int(system.sql(sql, name)) for name in system.databases))
        for rule, sql in RULES.items()
    ]
    checked += compare(results, _stored_bookings(system))
    checked.append(_confirmed_messages(system))
    return checked


def compare(results: Sequence[ClientResult], stored: Mapping[str, int]) -> list[RuleResult]:
    """Compare acknowledged bookings with stored ones.

    Loads that share an event are compared together, because their bookings cannot be
    distinguished.
    """
    lost = surplus = 0
    for events, acknowledged, unanswered in _disjoint(results):
        found = sum(stored.get(event, 0) for event in events)
        lost += max(0, acknowledged - found)
        surplus += max(0, found - acknowledged - unanswered)
    total = sum(each.acknowledged for each in results)
    return [
        RuleResult("every acknowledged booking is stored", lost, f"{total:,} acknowledged"),
        RuleResult("every stored booking was requested", surplus),
    ]


def _disjoint(results: Sequence[ClientResult]) -> list[tuple[set[str], int, int]]:
    """Add up acknowledged and unanswered by sets of events without a common event."""
    groups: list[tuple[set[str], int, int]] = []
    for each in results:
        joined = (set(each.events), each.acknowledged, each.unanswered)
        separate = []
        for group in groups:
            if group[0] & joined[0]:
                joined = (group[0] | joined[0], group[1] + joined[1], group[2] + joined[2])
            else:
                separate.append(group)
        groups = [*separate, joined]
    return groups


def count_not_exactly_once(confirmed: Iterable[str], messages: Mapping[str, set[str]]) -> int:
    """Count confirmed bookings without exactly one message, and messages without a booking."""
    bookings = set(confirmed)
    wrong = sum(1 for booking in bookings if len(messages.get(booking, ())) != 1)
    return wrong + sum(1 for booking in messages if booking not in bookings)


def _stored_bookings(system: SystemUnderTest) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for name in system.databases:
        rows = system.sql(
            "SELECT event_id, count(*) FROM booking.bookings "  # noqa: S608 - no input
            f"WHERE id::text NOT LIKE '{STORED_PREFIX}%' GROUP BY event_id",
            name,
        )
        for line in rows.splitlines():
            event, _, count = line.partition("|")
            counts[event] += int(count)
    return counts


def _confirmed_messages(system: SystemUnderTest) -> RuleResult:
    confirmed: list[str] = []
    messages: dict[str, set[str]] = defaultdict(set)
    pending = 0
    for name in system.databases:
        confirmed += system.sql(
            "SELECT id FROM booking.bookings WHERE confirmed_at IS NOT NULL "  # noqa: S608 - no input
            f"AND id::text NOT LIKE '{STORED_PREFIX}%'",
            name,
        ).splitlines()
        outbox = system.sql(
            "SELECT aggregate_id, message_id FROM booking.outbox "  # noqa: S608 - no input
            f"WHERE type = '{BOOKING_CONFIRMED}'",
            name,
        ).splitlines()
        pending += len(outbox)
        for line in outbox:
            booking, _, message = line.partition("|")
            messages[booking].add(message)
    logged = asyncio.run(_read_log(system.rabbitmq.amqp_url(VHOST)))
    for booking, message in logged:
        messages[booking].add(message)
    note = f"{pending:,} in the outbox, {len(logged):,} in the log"
    wrong = count_not_exactly_once(confirmed, messages)
    return RuleResult("one confirmed message per booking", wrong, note)


async def _read_log(amqp_url: str) -> list[tuple[str, str]]:
    """Return (booking id, message id) of each `confirmed` message of the log."""
    found: list[tuple[str, str]] = []
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=2000)
        queue = await channel.get_queue(EVENT_LOG)
        received: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(received.put, arguments={"x-stream-offset": "first"})
        while True:
            try:
                message = await asyncio.wait_for(received.get(), IDLE_SECONDS)
            except TimeoutError:
                return found
            await message.ack()
            if message.routing_key == BOOKING_CONFIRMED:
                subject = str(message.headers["cloudEvents:subject"])
                found.append((subject, str(message.message_id)))
