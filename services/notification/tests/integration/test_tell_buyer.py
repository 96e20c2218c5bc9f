"""One letter for one event, with a real database and a real mail server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from goticket.booking.v1 import events_pb2
from goticket_contracts.event_types import BOOKING_CANCELLED, BOOKING_CONFIRMED, BOOKING_HELD
from goticket_platform.ids import new_id
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from notification.composing import Composer
from notification.letters import Letter, Letterhead
from notification.mail_server import Account, MailServer, NotNow, Tls, Unavailable
from notification.tell_buyer import tell_buyer

# What conftest.py provides; test folders are no packages to import from.
MailExchange = Any
MakeConfirmed = Callable[..., events_pb2.BookingConfirmed]
MakeReceived = Callable[..., ReceivedMessage]
Tell = Callable[[ReceivedMessage], Awaitable[None]]

LETTERHEAD = Letterhead(Address("GoTicket", "tickets", "goticket.example"), "https://shop.example")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def mail_server(exchange: MailExchange) -> AsyncIterator[MailServer]:
    await exchange.start()
    server = MailServer(Account(exchange.host, exchange.port, Tls.NONE), connections=4)
    yield server
    await server.close()


@pytest.fixture
async def composer() -> AsyncIterator[Composer]:
    composer = Composer()
    yield composer
    await composer.close()


@pytest.fixture
def tell(pool: asyncpg.Pool, mail_server: MailServer, composer: Composer) -> Tell:
    async def tell(event: ReceivedMessage) -> None:
        await tell_buyer(
            event,
            pool=pool,
            post=mail_server,
            composer=composer,
            letterhead=LETTERHEAD,
            now=now,
        )

    return tell


async def delivery(pool: asyncpg.Pool, message_id: UUID) -> dict[str, Any] | None:
    row = await pool.fetchrow(
        "SELECT * FROM notification.deliveries WHERE message_id = $1", message_id
    )
    return dict(row) if row else None


async def remembered(pool: asyncpg.Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM notification.inbox")
    return count


async def test_a_confirmed_booking_is_mailed_once_and_logged(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    tell: Tell,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    payload = confirmed(tickets=2)
    event = received(BOOKING_CONFIRMED, payload)

    for _ in range(3):
        await tell(event)

    (message,) = exchange.messages
    assert message["To"] == "Ada Lovelace <ada@buyers.example>"
    assert message["Message-ID"] == f"<{event.id}@goticket.example>"
    assert len(list(message.iter_attachments())) == 3
    logged = await delivery(pool, event.id)
    assert logged is not None
    assert str(logged["booking_id"]) == payload.booking.id
    assert (logged["status"], logged["kind"], logged["attempts"]) == ("sent", "tickets", 1)
    assert logged["recipient"] == "ada@buyers.example"
    assert logged["smtp_message_id"] == message["Message-ID"]


async def test_a_letter_is_not_repeated_when_the_inbox_has_forgotten_it(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    tell: Tell,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    event = received(BOOKING_CONFIRMED, confirmed())
    await tell(event)
    await pool.execute("DELETE FROM notification.inbox")

    await tell(event)

    assert len(exchange.messages) == 1


async def test_concurrent_duplicates_are_mailed_once(
    exchange: MailExchange, tell: Tell, confirmed: MakeConfirmed, received: MakeReceived
) -> None:
    event = received(BOOKING_CONFIRMED, confirmed())
    barrier = asyncio.Barrier(8)

    async def deliver() -> None:
        await barrier.wait()
        await tell(event)

    await asyncio.gather(*(deliver() for _ in range(8)))

    assert len(exchange.messages) == 1


async def test_two_events_of_different_bookings_do_not_wait_for_each_other(
    exchange: MailExchange, tell: Tell, confirmed: MakeConfirmed, received: MakeReceived
) -> None:
    exchange.may_answer.clear()
    events = [received(BOOKING_CONFIRMED, confirmed()) for _ in range(3)]
    tasks = [asyncio.ensure_future(tell(event)) for event in events]

    async with asyncio.timeout(30):
        while len(exchange.messages) < 3:
            await asyncio.sleep(0.02)
    exchange.may_answer.set()
    await asyncio.gather(*tasks)

    assert len(set(exchange.message_ids)) == 3


async def test_a_hold_is_nothing_to_write_about(
    pool: asyncpg.Pool, exchange: MailExchange, tell: Tell, received: MakeReceived
) -> None:
    await tell(received(BOOKING_HELD, "{}"))

    assert not exchange.messages
    assert await remembered(pool) == 0


async def test_a_letter_refused_for_the_moment_is_sent_by_the_next_try(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    tell: Tell,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    event = received(BOOKING_CONFIRMED, confirmed())
    exchange.data.append("451 4.3.0 Try again later")

    with pytest.raises(NotNow):
        await tell(event)
    deferred = await delivery(pool, event.id)
    assert await remembered(pool) == 0
    await tell(event)
    sent = await delivery(pool, event.id)

    assert deferred is not None
    assert deferred["status"] == "deferred"
    assert "Try again later" in deferred["reason"]
    assert sent is not None
    assert (sent["status"], sent["reason"], sent["attempts"]) == ("sent", None, 2)
    assert len(exchange.messages) == 1


async def test_without_a_mail_server_the_event_stays_untold(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    tell: Tell,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    event = received(BOOKING_CONFIRMED, confirmed())
    exchange.stop()

    with pytest.raises(Unavailable):
        await tell(event)
    assert await remembered(pool) == 0
    await exchange.start()
    await tell(event)

    assert len(exchange.messages) == 1


async def test_a_refused_letter_is_poison_with_the_servers_reason_and_can_be_replayed(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    tell: Tell,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    event = received(BOOKING_CONFIRMED, confirmed())
    exchange.rcpt.append("550 5.1.1 No such user")

    with pytest.raises(NonRetryableError, match="No such user"):
        await tell(event)

    refused = await delivery(pool, event.id)
    assert refused is not None
    assert refused["status"] == "refused"
    assert "No such user" in refused["reason"]
    await tell(event)
    sent = await delivery(pool, event.id)
    assert sent is not None
    assert sent["status"] == "sent"


async def test_a_malformed_address_is_poison_and_logged(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    tell: Tell,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    event = received(BOOKING_CONFIRMED, confirmed(email="nobody"))

    with pytest.raises(NonRetryableError, match="malformed"):
        await tell(event)

    logged = await delivery(pool, event.id)
    assert logged is not None
    assert logged["status"] == "refused"
    assert not exchange.messages


async def test_tickets_are_not_sent_after_the_cancellation_was(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    tell: Tell,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    payload = confirmed(version=1)
    later = events_pb2.BookingCancelled(booking=payload.booking, event=payload.event)
    later.booking.version = 2
    confirmation = received(BOOKING_CONFIRMED, payload)

    await tell(received(BOOKING_CANCELLED, later))
    await tell(confirmation)

    (message,) = exchange.messages
    assert message["Subject"].startswith("Cancelled")
    logged = await delivery(pool, confirmation.id)
    assert logged is not None
    assert logged["status"] == "superseded"


async def test_tickets_and_then_the_cancellation_are_both_sent(
    exchange: MailExchange, tell: Tell, confirmed: MakeConfirmed, received: MakeReceived
) -> None:
    payload = confirmed(version=1)
    later = events_pb2.BookingCancelled(booking=payload.booking, event=payload.event)
    later.booking.version = 2

    await tell(received(BOOKING_CONFIRMED, payload))
    await tell(received(BOOKING_CANCELLED, later))

    subjects = [message["Subject"].split()[0] for message in exchange.messages]
    assert subjects == ["Your", "Cancelled:"]


async def test_letters_about_one_booking_never_overlap(
    exchange: MailExchange, tell: Tell, confirmed: MakeConfirmed, received: MakeReceived
) -> None:
    """The cancellation waits while the tickets are on their way, then follows them."""
    payload = confirmed(version=1)
    later = events_pb2.BookingCancelled(booking=payload.booking, event=payload.event)
    later.booking.version = 2
    exchange.may_answer.clear()

    tickets = asyncio.ensure_future(tell(received(BOOKING_CONFIRMED, payload)))
    await asyncio.wait_for(exchange.asked.wait(), 30)
    cancellation = asyncio.ensure_future(tell(received(BOOKING_CANCELLED, later)))
    done, _ = await asyncio.wait([cancellation], timeout=0.3)
    exchange.may_answer.set()
    await asyncio.gather(tickets, cancellation)

    assert not done
    assert len(exchange.messages) == 2


class Killed(BaseException):
    """The process is gone."""


class Forgetful:
    """Hands the letter over and then dies before anybody can write it down."""

    def __init__(self, mail_server: MailServer) -> None:
        self._mail_server = mail_server

    async def send(self, letter: Letter) -> None:
        """Send, then fail as a process does that is killed."""
        await self._mail_server.send(letter)
        raise Killed


async def test_a_crash_after_the_servers_yes_repeats_a_recognisable_letter(
    pool: asyncpg.Pool,
    exchange: MailExchange,
    mail_server: MailServer,
    tell: Tell,
    composer: Composer,
    confirmed: MakeConfirmed,
    received: MakeReceived,
) -> None:
    event = received(BOOKING_CONFIRMED, confirmed(), new_id())

    with pytest.raises(Killed):
        await tell_buyer(
            event,
            pool=pool,
            post=Forgetful(mail_server),
            composer=composer,
            letterhead=LETTERHEAD,
            now=now,
        )
    assert await remembered(pool) == 0
    await tell(event)

    assert exchange.message_ids == [f"<{event.id}@goticket.example>"] * 2
