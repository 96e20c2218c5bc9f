"""The reckoning at the end: do the database and the event log say what buyers were told?"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from goticket_testing.event_log import CONFIRMED, LOG

from goticket_load.machine import VHOST, Machine

HISTORY = "01900000-0000-7000-8000-"
"""Ids of bookings that were stored without being booked begin with this."""
SILENCE_SECONDS = 2.0
"""So long without a message means that the log was read to its end."""

# What is true of every booking system of ours at rest; each counts what breaks the rule.
RULES: dict[str, str] = {
    "sold + held <= capacity": """
        SELECT count(*) FROM booking.inventory
        WHERE sold + held > capacity OR sold < 0 OR held < 0""",
    "stock counts what is booked": """
        WITH taken AS (
            SELECT i.event_id, i.ticket_type_id,
                   sum(i.quantity) FILTER (WHERE b.status = 'confirmed') AS sold,
                   sum(i.quantity) FILTER (WHERE b.status = 'held') AS held
            FROM booking.booking_items AS i
            JOIN booking.bookings AS b ON b.event_id = i.event_id AND b.id = i.booking_id
            GROUP BY i.event_id, i.ticket_type_id)
        SELECT count(*) FROM booking.inventory AS i
        LEFT JOIN taken AS t USING (event_id, ticket_type_id)
        WHERE i.sold <> coalesce(t.sold, 0) OR i.held <> coalesce(t.held, 0)""",
    "tickets of each booking": """
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
    "totals are sums of lines": """
        SELECT count(*) FROM booking.bookings AS b
        LEFT JOIN (
            SELECT event_id, booking_id, sum(quantity * unit_price) AS total
            FROM booking.booking_items GROUP BY event_id, booking_id) AS i
            ON i.event_id = b.event_id AND i.booking_id = b.id
        WHERE b.total IS DISTINCT FROM i.total""",
    "one key, one booking": f"""
        SELECT count(*) FROM (
            SELECT b.id FROM booking.bookings AS b
            LEFT JOIN booking.idempotency_keys AS k ON k.booking_id = b.id
            WHERE b.id::text NOT LIKE '{HISTORY}%'
            GROUP BY b.id HAVING count(k.key) <> 1) AS wrong""",  # noqa: S608 - no input
}


@dataclass(frozen=True)
class Told:
    """What one load's buyers were told: so many bookings made, so many unanswered."""

    events: tuple[str, ...]
    made: int
    unanswered: int


@dataclass(frozen=True)
class Verdict:
    """One rule and how often it is broken."""

    rule: str
    violations: int
    note: str = ""


def reckon(machine: Machine, told: Sequence[Told]) -> list[Verdict]:
    """Check every rule; the relay must not run meanwhile."""
    verdicts = [Verdict(rule, int(machine.sql(sql))) for rule, sql in RULES.items()]
    verdicts += accounted(told, _stored(machine))
    verdicts.append(_events(machine))
    return verdicts


def accounted(told: Sequence[Told], stored: Mapping[str, int]) -> list[Verdict]:
    """Compare what buyers were told with what is stored.

    Loads that share an event cannot be told apart there: they are compared as one.
    """
    lost = surplus = 0
    for events, made, unanswered in _apart(told):
        found = sum(stored.get(event, 0) for event in events)
        lost += max(0, made - found)
        surplus += max(0, found - made - unanswered)
    total = sum(each.made for each in told)
    return [
        Verdict("nothing acknowledged is lost", lost, f"{total:,} acknowledged"),
        Verdict("nothing is there that nobody asked for", surplus),
    ]


def _apart(told: Sequence[Told]) -> list[tuple[set[str], int, int]]:
    """Sums of made and unanswered by sets of events that have no event in common."""
    groups: list[tuple[set[str], int, int]] = []
    for each in told:
        joined = (set(each.events), each.made, each.unanswered)
        apart = []
        for group in groups:
            if group[0] & joined[0]:
                joined = (group[0] | joined[0], group[1] + joined[1], group[2] + joined[2])
            else:
                apart.append(group)
        groups = [*apart, joined]
    return groups


def once_each(confirmed: Iterable[str], events: Mapping[str, set[str]]) -> int:
    """How many confirmed bookings have not exactly one event; events of no booking count too."""
    bookings = set(confirmed)
    wrong = sum(1 for booking in bookings if len(events.get(booking, ())) != 1)
    return wrong + sum(1 for booking in events if booking not in bookings)


def _stored(machine: Machine) -> dict[str, int]:
    rows = machine.sql(
        "SELECT event_id, count(*) FROM booking.bookings "  # noqa: S608 - no input
        f"WHERE id::text NOT LIKE '{HISTORY}%' GROUP BY event_id"
    )
    return {event: int(n) for event, _, n in (line.partition("|") for line in rows.splitlines())}


def _events(machine: Machine) -> Verdict:
    confirmed = machine.sql(
        "SELECT id FROM booking.bookings WHERE confirmed_at IS NOT NULL "  # noqa: S608 - no input
        f"AND id::text NOT LIKE '{HISTORY}%'"
    ).splitlines()
    events: dict[str, set[str]] = defaultdict(set)
    waiting = machine.sql(
        "SELECT aggregate_id, message_id FROM booking.outbox "  # noqa: S608 - no input
        f"WHERE type = '{CONFIRMED}'"
    ).splitlines()
    for line in waiting:
        booking, _, event = line.partition("|")
        events[booking].add(event)
    logged = asyncio.run(_logged(machine.rabbitmq.amqp_url(VHOST)))
    for booking, event in logged:
        events[booking].add(event)
    note = f"{len(waiting):,} in the outbox, {len(logged):,} in the log"
    return Verdict("one confirmed event a booking", once_each(confirmed, events), note)


async def _logged(amqp_url: str) -> list[tuple[str, str]]:
    """(booking, CloudEvents id) of each `confirmed` message of the log, from the first."""
    found: list[tuple[str, str]] = []
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=2000)
        queue = await channel.get_queue(LOG)
        inbox: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(inbox.put, arguments={"x-stream-offset": "first"})
        while True:
            try:
                message = await asyncio.wait_for(inbox.get(), SILENCE_SECONDS)
            except TimeoutError:
                return found
            await message.ack()
            if message.routing_key == CONFIRMED:
                subject = str(message.headers["cloudEvents:subject"])
                found.append((subject, str(message.message_id)))
