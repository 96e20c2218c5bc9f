"""Messages between services carry no personal data and no ticket codes.

The quickstart journey runs while the relays are stopped, so that the outboxes keep its
messages. Then the relays publish them to the event log. Both places are searched.
"""

import asyncio
import uuid
from dataclasses import dataclass

import aio_pika
import asyncpg
import httpx
from goticket_contracts import event_types
from goticket_testing.chaos.snapshot import read_log
from goticket_testing.clients import (
    ApiUser,
    Json,
    create_booking,
    create_event,
    eventually,
)
from goticket_testing.stack import RunningStack

RELAYS = {
    "identity": "identity relay",
    "catalog": "catalog relay",
    "booking": "booking relay",
}
"""The relay of each schema with an outbox."""
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Journey:
    """The event of the journey, and texts that no message may contain."""

    event_id: str
    forbidden: dict[str, str]
    """Text by what it is."""


async def register_and_log_in(api: httpx.AsyncClient) -> ApiUser:
    """Register a buyer whose name and address appear nowhere else."""
    unique = uuid.uuid4().hex[:12]
    email, name = f"buyer-{unique}@people.example", f"Ada Buyer {unique}"
    account = {"email": email, "password": PASSWORD, "name": name}
    registered = await api.post("/api/v1/auth/register", json=account)
    assert registered.status_code in {201, 202}, registered.text
    tokens = (await api.post("/api/v1/auth/login", json=account)).json()
    headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
    profile = (await api.get("/api/v1/users/me", headers=headers)).json()
    return ApiUser(profile["id"], email, name, tokens["accessToken"])


async def run_journey(api: httpx.AsyncClient, organizer: ApiUser) -> Journey:
    """Register, create an event, book it, hold and confirm, hold and cancel."""
    buyer = await register_and_log_in(api)
    event = await create_event(api, organizer, description="An evening of music")
    path = f"/api/v1/events/{event['id']}"
    changed = await api.patch(path, json={"name": "Metallica"}, headers=organizer.headers)
    assert changed.status_code == 200, changed.text
    booked = (await create_booking(api, buyer, event["id"], quantity=2)).json()
    confirmed = await _hold_and(api, buyer, event["id"], "confirm")
    await _hold_and(api, buyer, event["id"], "cancel")
    await api.post(f"/api/v1/bookings/{booked['id']}/cancel", headers=buyer.headers)
    codes = [ticket["code"] for each in (booked, confirmed) for ticket in each["tickets"]]
    assert len(codes) == 3
    forbidden = {
        "the buyer's e-mail address": buyer.email,
        "the buyer's name": buyer.name,
        "the organizer's e-mail address": organizer.email,
        "the organizer's name": organizer.name,
        **{f"the code of ticket {number}": code for number, code in enumerate(codes, 1)},
    }
    return Journey(event["id"], forbidden)


async def _hold_and(api: httpx.AsyncClient, buyer: ApiUser, event_id: str, operation: str) -> Json:
    held = (await create_booking(api, buyer, event_id, quantity=1, hold=True)).json()
    path = f"/api/v1/bookings/{held['id']}/{operation}"
    response = await api.post(path, headers=buyer.headers)
    assert response.status_code == 200, response.text
    booking: Json = response.json()
    return booking


def leaks(journey: Journey, source: str, texts: list[str]) -> list[str]:
    """Describe each occurrence of a forbidden text, ignoring case."""
    return [
        f"{source} contains {what}: {text[:400]}"
        for text in texts
        for what, forbidden in journey.forbidden.items()
        if forbidden.lower() in text.lower()
    ]


async def read_outboxes(stack: RunningStack) -> dict[str, list[str]]:
    """Return every column of every outbox row as JSON text, by schema."""
    connection = await asyncpg.connect(stack.superuser_url(), timeout=20)
    try:
        return {schema: await _rows(connection, schema) for schema in RELAYS}
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, schema: str) -> list[str]:
    sql = f"SELECT to_json(o)::text FROM {schema}.outbox AS o"  # noqa: S608 - a constant name
    return [row[0] for row in await connection.fetch(sql)]


async def read_event_log(stack: RunningStack) -> list[aio_pika.abc.AbstractMessage]:
    """Return every message of the event log."""
    connection = await aio_pika.connect(stack.amqp_url)
    async with connection:
        return await read_log(await connection.channel())


def as_text(message: aio_pika.abc.AbstractMessage) -> str:
    """Return everything that a consumer of the log sees: properties, headers and body."""
    return f"{message.message_id} {message.type} {message.headers} {message.body.decode()}"


async def test_no_message_contains_personal_data_or_ticket_codes(
    api: httpx.AsyncClient, stack: RunningStack, organizer: ApiUser
) -> None:
    try:
        for relay in RELAYS.values():
            await asyncio.to_thread(stack.stop, relay)
        journey = await run_journey(api, organizer)
        outboxes = await read_outboxes(stack)
    finally:
        await asyncio.to_thread(stack.heal)
    assert all(outboxes.values()), {schema: len(rows) for schema, rows in outboxes.items()}

    async def all_published() -> bool:
        return not any((await read_outboxes(stack)).values())

    await eventually(all_published)
    messages = await read_event_log(stack)
    types = {
        str(message.headers["cloudEvents:type"])
        for message in messages
        if journey.event_id in message.body.decode()
    }
    assert types >= {
        event_types.EVENT_UPDATED,
        event_types.BOOKING_HELD,
        event_types.BOOKING_CONFIRMED,
        event_types.BOOKING_CANCELLED,
    }
    found = [
        leak
        for schema, rows in outboxes.items()
        for leak in leaks(journey, f"{schema}.outbox", rows)
    ]
    found += leaks(journey, "the event log", [as_text(message) for message in messages])
    assert found == []
