"""Announcements of changes: from the catalog's message to one e-mail per buyer."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import pytest
from google.protobuf import json_format
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket.catalog.v1 import events_pb2
from goticket_contracts.event_types import (
    BOOKING_CONFIRMED,
    EVENT_CANCELLED,
    EVENT_PUBLISHED,
    EVENT_UPDATED,
)
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from notification.announce_changes import continue_announcements
from notification.bookings import NotificationKind
from notification.delivery_queue import SenderGroup
from notification.event_buyers import EventBuyer
from notification.event_changes import Announcement, BuyerPage

if TYPE_CHECKING:
    import asyncpg

    from services.notification.tests.integration.conftest import (
        ScriptedBookingService,
        ScriptedSmtpServer,
        Worker,
    )

MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]
PAYLOADS: dict[str, Any] = {
    EVENT_PUBLISHED: events_pb2.EventPublished,
    EVENT_UPDATED: events_pb2.EventUpdated,
    EVENT_CANCELLED: events_pb2.EventCancelled,
}


class Catalog:
    """Changes one event: returns the catalog's messages, and tells the booking service."""

    def __init__(
        self,
        make_message: MakeMessage,
        make_details: MakeDetails,
        service: "ScriptedBookingService",
    ) -> None:
        self._make_message = make_message
        self._make_details = make_details
        self._service = service
        self.event = make_details().event
        self.buyers: list[str] = []

    def book(self, buyer: str | None = None, **keywords: Any) -> BookingDetails:
        """Confirm a booking of the event."""
        details = self._make_details(**keywords)
        details.event.CopyFrom(self.event)
        details.booking.event_id = self.event.id
        details.booking.user_id = buyer or str(uuid.uuid4())
        self._service.add(details)
        return details

    def message(
        self,
        message_type: str = EVENT_UPDATED,
        *,
        status: "events_pb2.EventState.Status.ValueType" = events_pb2.EventState.STATUS_PUBLISHED,
    ) -> ReceivedMessage:
        """The message about the present version."""
        event = self.event
        state = events_pb2.EventState(
            id=event.id,
            name=event.name,
            location=event.location,
            timezone=event.timezone,
            starts_at=event.starts_at,
            ends_at=event.ends_at,
            version=event.version,
            status=status,
        )
        payload = json_format.MessageToJson(PAYLOADS[message_type](event=state))
        return self._make_message(message_type, payload=payload)

    def change(self, *, booking_knows: bool = True, **fields: str) -> ReceivedMessage:
        """Change the event; return the message about it."""
        for name, value in fields.items():
            setattr(self.event, name, value)
        self.event.version += 1
        if booking_knows:
            self.tell_booking()
        return self.message()

    def tell_booking(self) -> None:
        """Let booking have the present version."""
        for details in self._service.details.values():
            if details.event.id == self.event.id:
                details.event.CopyFrom(self.event)


@pytest.fixture
def catalog(
    make_message: MakeMessage, make_details: MakeDetails, booking_service: "ScriptedBookingService"
) -> Catalog:
    return Catalog(make_message, make_details, booking_service)


async def announce_all(worker: "Worker", *messages: ReceivedMessage) -> None:
    """Accept the messages, announce what is due and send it."""
    await worker.accept(*messages)
    await worker.announce()
    await worker.send_pending()


def recipients(messages: list[EmailMessage]) -> list[str]:
    return sorted(message["To"].addresses[0].addr_spec for message in messages)


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text


async def test_each_buyer_with_a_confirmed_booking_gets_one_email(
    worker: "Worker",
    smtp: "ScriptedSmtpServer",
    booking_service: "ScriptedBookingService",
    catalog: Catalog,
) -> None:
    ann = str(uuid.uuid4())
    bookings = [catalog.book(ann, email="ann@buyers.example") for _ in range(3)]
    catalog.book(email="bob@buyers.example")
    booking_service.cancel(catalog.book(email="cleo@buyers.example"))
    await worker.accept(catalog.message(EVENT_PUBLISHED))

    await announce_all(worker, catalog.change(location="Hamburg"))
    await announce_all(worker, catalog.message())  # redelivered

    assert recipients(smtp.messages) == ["ann@buyers.example", "bob@buyers.example"]
    [anns] = [each for each in smtp.messages if "ann" in each["To"]]
    assert anns["Subject"] == "Your event has changed: Metallica Live"
    text = text_of(anns)
    assert "before: Berlin" in text
    assert "now:    Hamburg" in text
    assert all(each.booking.id in text for each in bookings)


async def test_drafts_are_not_announced(worker: "Worker", catalog: Catalog) -> None:
    catalog.book()
    draft = events_pb2.EventState.STATUS_DRAFT
    await worker.accept(catalog.message(status=draft))
    catalog.change(location="Hamburg")
    await worker.accept(catalog.message(status=draft))

    await worker.announce()

    assert await worker.send_pending() == 0


async def test_a_crash_between_pages_repeats_no_buyer_and_loses_none(
    worker: "Worker", smtp: "ScriptedSmtpServer", catalog: Catalog, pool: "asyncpg.Pool"
) -> None:
    addresses = sorted(f"buyer-{number:03}@buyers.example" for number in range(45))
    for address in addresses:
        buyer = str(uuid.uuid4())
        catalog.book(buyer, email=address)
        catalog.book(buyer, email=address)  # on another page, by its random id
    await worker.accept(catalog.message(EVENT_PUBLISHED), catalog.change(location="Hamburg"))
    await worker.changes.start_due()

    class Crash(BaseException):
        """The end of the process."""

    class CrashingBuyers:
        def __init__(self, calls: int) -> None:
            self.calls = calls

        async def page(self, announcement: Announcement, limit: int) -> BuyerPage | None:
            if self.calls == 0:
                raise Crash
            self.calls -= 1
            page: BuyerPage | None = await worker.buyers.page(announcement, limit)
            return page

    stored = 0
    for _ in range(4):
        with pytest.raises(Crash):
            await continue_announcements(
                worker.changes, CrashingBuyers(2), lambda: None, Stop(), page_size=10
            )
        await worker.send_pending()
        before, stored = stored, await pool.fetchval("SELECT count(*) FROM notification.deliveries")
        assert stored > before
    assert await worker.changes.unfinished()
    await worker.announce()
    await worker.send_pending()

    assert await worker.changes.unfinished() == []
    assert recipients(smtp.messages) == addresses


async def test_an_announcement_waits_until_booking_has_the_version(
    worker: "Worker", smtp: "ScriptedSmtpServer", catalog: Catalog
) -> None:
    catalog.book()
    await worker.accept(catalog.message(EVENT_PUBLISHED))
    await announce_all(worker, catalog.change(booking_knows=False, location="Hamburg"))
    assert smtp.messages == []

    catalog.tell_booking()
    await announce_all(worker)

    [message] = smtp.messages
    assert "now:    Hamburg" in text_of(message)


async def test_an_outage_of_booking_delays_an_announcement(
    worker: "Worker",
    smtp: "ScriptedSmtpServer",
    catalog: Catalog,
    booking_service: "ScriptedBookingService",
) -> None:
    catalog.book()
    await worker.accept(catalog.message(EVENT_PUBLISHED))
    booking_service.failures.append(grpc.StatusCode.PERMISSION_DENIED)
    await announce_all(worker, catalog.change(location="Hamburg"))
    assert smtp.messages == []

    await announce_all(worker)

    assert len(smtp.messages) == 1


async def test_a_buyer_whose_last_booking_was_cancelled_meanwhile_gets_no_email(
    worker: "Worker",
    smtp: "ScriptedSmtpServer",
    catalog: Catalog,
    booking_service: "ScriptedBookingService",
) -> None:
    details = catalog.book()
    await worker.accept(catalog.message(EVENT_PUBLISHED), catalog.change(location="Hamburg"))
    await worker.announce()
    booking_service.cancel(details)

    assert await worker.send_pending() == 1
    assert smtp.messages == []


async def test_changes_while_an_email_waits_are_one_email_from_what_the_buyer_knows(
    worker: "Worker", smtp: "ScriptedSmtpServer", catalog: Catalog
) -> None:
    catalog.book()
    await worker.accept(catalog.message(EVENT_PUBLISHED), catalog.change(location="Hamburg"))
    await worker.announce()
    await worker.accept(catalog.change(location="Leipzig"))
    await worker.announce()

    await worker.send_pending()
    [message] = smtp.messages
    assert "before: Berlin" in text_of(message)
    assert "now:    Leipzig" in text_of(message)

    await announce_all(worker, catalog.change(location="Köln"))
    assert "before: Leipzig" in text_of(smtp.messages[1])


async def test_an_event_that_is_as_before_when_the_email_is_sent_needs_none(
    worker: "Worker", smtp: "ScriptedSmtpServer", catalog: Catalog
) -> None:
    catalog.book()
    await worker.accept(catalog.message(EVENT_PUBLISHED), catalog.change(location="Hamburg"))
    await worker.announce()
    await worker.accept(catalog.change(location="Berlin"))
    await worker.announce()

    await worker.send_pending()

    assert smtp.messages == []


async def test_a_cancellation_of_the_event_stops_waiting_emails(
    worker: "Worker", smtp: "ScriptedSmtpServer", catalog: Catalog
) -> None:
    catalog.book()
    await worker.accept(catalog.message(EVENT_PUBLISHED), catalog.change(location="Hamburg"))
    await worker.announce()
    catalog.event.version += 1
    cancelled = events_pb2.EventState.STATUS_CANCELLED
    await worker.accept(catalog.message(EVENT_CANCELLED, status=cancelled))

    assert await worker.send_pending() == 0
    assert smtp.messages == []


async def test_ticket_emails_do_not_wait_for_emails_about_changes(
    worker: "Worker", catalog: Catalog, make_message: MakeMessage, pool: "asyncpg.Pool"
) -> None:
    details = catalog.book()
    await worker.accept(catalog.message(EVENT_PUBLISHED), catalog.change(location="Hamburg"))
    await worker.changes.start_due()
    [announcement] = await worker.changes.unfinished()
    many = BuyerPage([uuid.uuid4() for _ in range(5_000)], UUID(int=1), is_last=True)
    await worker.changes.enqueue(announcement, many)
    await worker.accept(make_message(BOOKING_CONFIRMED, details))

    claimed = await worker.queue.claim(SenderGroup.REGULAR, 16)

    assert [each.request.kind for each in claimed] == [NotificationKind.TICKETS]
    [change, *_] = await worker.queue.claim(SenderGroup.EVENT_CHANGES, 16)
    assert change.request.event_before is not None
    assert change.request.event_before.place == "Berlin"
    # The buyer's ticket e-mail is not behind an e-mail about a change either.
    assert (
        await pool.fetchval(
            "SELECT count(*) FROM notification.deliveries WHERE kind = 'tickets' AND fair_at > $1",
            datetime.now(UTC),
        )
        == 0
    )


async def test_one_buyer_whose_bookings_cannot_be_read_fails_no_other(
    worker: "Worker", catalog: Catalog, booking_service: "ScriptedBookingService"
) -> None:
    good, bad = catalog.book(), catalog.book()
    booking_service.unreadable.add(bad.booking.user_id)
    event_id = UUID(catalog.event.id)

    results = await asyncio.gather(
        *(
            worker.buyers.bookings(EventBuyer(event_id, UUID(each.booking.user_id)))
            for each in (good, bad)
        ),
        return_exceptions=True,
    )

    found, failed = results
    assert isinstance(found, list)
    assert [each.booking.id for each in found] == [good.booking.id]
    assert isinstance(failed, Exception)


async def test_malformed_versions_are_dead_letters(
    worker: "Worker", make_message: MakeMessage
) -> None:
    for payload in ("{", '{"event": {"id": "x"}}', '{"event": {}}'):
        with pytest.raises(NonRetryableError):
            await worker.accept(make_message(EVENT_UPDATED, payload=payload))
