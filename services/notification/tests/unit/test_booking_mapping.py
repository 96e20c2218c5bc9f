"""The booking service's details become the values that e-mails print."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_documents.money import Money
from goticket_platform.messaging.consumer import NonRetryableError
from notification.booking_mapping import map_booking

START = datetime(2027, 6, 12, 17, 30, tzinfo=UTC)

MakeDetails = Callable[..., BookingDetails]


def test_tickets_are_numbered_in_order(make_details: MakeDetails) -> None:
    booking = map_booking(make_details(tickets=3, version=4))

    assert (booking.version, booking.total) == (4, Money(7500, "EUR"))
    assert booking.is_confirmed
    assert booking.was_confirmed
    assert booking.event.starts_at == START
    assert [(ticket.number, ticket.count) for ticket in booking.tickets] == [(1, 3), (2, 3), (3, 3)]
    assert [ticket.code for ticket in booking.tickets] == ["code-0", "code-1", "code-2"]
    assert {ticket.price for ticket in booking.tickets} == {Money(2500, "EUR")}


def test_a_void_ticket_is_left_out(make_details: MakeDetails) -> None:
    details = make_details(tickets=3)
    details.booking.tickets[1].status = pb.TICKET_STATUS_VOID
    details.booking.tickets[1].ClearField("code")

    tickets = map_booking(details).tickets

    assert [(ticket.code, ticket.number, ticket.count) for ticket in tickets] == [
        ("code-0", 1, 2),
        ("code-2", 2, 2),
    ]


def test_an_expired_hold_was_never_confirmed(make_details: MakeDetails) -> None:
    details = make_details(tickets=0)
    details.booking.status = pb.BOOKING_STATUS_EXPIRED
    details.booking.ClearField("confirmed_at")

    booking = map_booking(details)

    assert not booking.is_confirmed
    assert not booking.was_confirmed


def test_names_become_one_line(make_details: MakeDetails) -> None:
    assert map_booking(make_details(name="Ada\r\nLovelace")).buyer_name == "Ada Lovelace"


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus_Mons", "", "../../etc/passwd", "/etc/passwd", "a\\b"]
)
def test_an_unknown_zone_becomes_utc(make_details: MakeDetails, zone: str) -> None:
    details = make_details()
    details.event.timezone = zone

    assert map_booking(details).event.zone.key == "UTC"


def remove_the_start(details: BookingDetails) -> None:
    details.event.ClearField("starts_at")


def damage_the_id(details: BookingDetails) -> None:
    details.booking.id = "7"


def remove_a_code(details: BookingDetails) -> None:
    details.booking.tickets[0].ClearField("code")


def change_a_ticket_type(details: BookingDetails) -> None:
    details.booking.tickets[0].ticket_type_id = "t9"


@pytest.mark.parametrize(
    "damage", [remove_the_start, damage_the_id, remove_a_code, change_a_ticket_type]
)
def test_incomplete_details_are_not_retried(
    make_details: MakeDetails, damage: Callable[[BookingDetails], None]
) -> None:
    details = make_details()
    damage(details)

    with pytest.raises(NonRetryableError, match="incomplete"):
        map_booking(details)
