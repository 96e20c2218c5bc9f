"""The checker accepts a correct run and reports each crafted violation."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from goticket_contracts import event_types
from goticket_testing.chaos.checker import violations
from goticket_testing.chaos.records import (
    ClientResponse,
    DuplicateWindow,
    Email,
    InventoryRow,
    LoggedMessage,
    Operation,
    Purchase,
    Snapshot,
    StoredBooking,
    StoredKey,
    StoredTicket,
)

CONFIRMED, EXPIRED = event_types.BOOKING_CONFIRMED, event_types.BOOKING_EXPIRED
BOOK, CONFIRM, CANCEL = Operation.BOOK, Operation.CONFIRM, Operation.CANCEL


def purchase(
    name: str, *responses: ClientResponse, hold: bool = False, quantity: int = 1
) -> Purchase:
    quantities = {"type": quantity}
    email = f"{name}@x.example"
    return Purchase(name, email, "event", f"key-{name}", quantities, hold, list(responses))


def purchases() -> list[Purchase]:
    """Ann booked two at the second attempt, Bob's hold expired, Cat was rejected as sold out."""
    success = ClientResponse(BOOK, 201, "", "a", "confirmed", frozenset({"t1", "t2"}))
    return [
        purchase("ann", ClientResponse(BOOK, None), success, quantity=2),
        purchase("bob", ClientResponse(BOOK, 201, "", "b", "held"), hold=True),
        purchase("cat", ClientResponse(BOOK, 409, "sold_out")),
    ]


def snapshot() -> Snapshot:
    """The correct state after `purchases`."""
    return Snapshot(
        inventory=[InventoryRow("event", "type", 3, held=0, sold=2)],
        bookings=[
            StoredBooking("a", "event", "ann", "confirmed", 1, True, {"type": 2}),
            StoredBooking("b", "event", "bob", "expired", 2, False, {"type": 1}),
        ],
        tickets=[
            StoredTicket("t1", "a", "type", "code-1", "valid"),
            StoredTicket("t2", "a", "type", "code-2", "valid"),
        ],
        keys=[StoredKey("ann", "key-ann", "a"), StoredKey("bob", "key-bob", "b")],
        event_log=[
            LoggedMessage("p", event_types.EVENT_PUBLISHED, "event", 1),
            LoggedMessage("a1", CONFIRMED, "a", 1),
            LoggedMessage("b1", event_types.BOOKING_HELD, "b", 1),
            LoggedMessage("a1", CONFIRMED, "a", 1),  # at least once
            LoggedMessage("b2", EXPIRED, "b", 2),
        ],
        emails=[Email("a1", "ann@x.example", 10.0), Email("b2", "bob@x.example", 11.0)],
        handled_by_notification=frozenset({"a1", "b2"}),
        handled_by_booking=frozenset({"p"}),
        backlog={"booking.outbox": 0},
    )


def test_a_correct_run_has_no_violations() -> None:
    assert violations(purchases(), snapshot()) == []


WRONG_SNAPSHOTS: dict[str, tuple[Callable[[Snapshot], Snapshot], str]] = {
    "a lost booking": (lambda s: replace(s, bookings=s.bookings[1:]), "lost: buyer ann"),
    "a lost ticket": (lambda s: replace(s, tickets=s.tickets[1:]), "has 1 valid tickets"),
    "a different ticket": (
        lambda s: replace(s, tickets=[replace(s.tickets[0], id="t9"), s.tickets[1]]),
        "other tickets than its buyer received",
    ),
    "a duplicate ticket code": (
        lambda s: replace(s, tickets=[replace(s.tickets[0], code="code-2"), s.tickets[1]]),
        "2 tickets have the code",
    ),
    "a ticket of an expired hold": (
        lambda s: replace(s, tickets=[*s.tickets, StoredTicket("t3", "b", "type", "c3", "void")]),
        "never confirmed and has tickets",
    ),
    "a booking without a request": (
        lambda s: replace(s, bookings=[*s.bookings, replace(s.bookings[1], user_id="eve")]),
        "no client requested booking",
    ),
    "two bookings for one key": (
        lambda s: replace(s, bookings=[*s.bookings, replace(s.bookings[1], id="b'")]),
        "has 2 bookings for one key",
    ),
    "a booking of a rejected buyer": (
        lambda s: replace(s, bookings=[*s.bookings, replace(s.bookings[1], user_id="cat")]),
        "was rejected but has booking",
    ),
    "other lines": (
        lambda s: replace(s, bookings=[replace(s.bookings[0], lines={"type": 3}), s.bookings[1]]),
        "other lines than buyer ann requested",
    ),
    "a lost key": (lambda s: replace(s, keys=s.keys[1:]), "has the keys []"),
    "a key without a booking": (
        lambda s: replace(s, keys=[*s.keys, StoredKey("cat", "key-cat", "c")]),
        "a key refers to booking c",
    ),
    "overselling": (
        lambda s: replace(s, inventory=[replace(s.inventory[0], capacity=1)]),
        "oversold: 2 of 1",
    ),
    "tickets returned twice": (
        lambda s: replace(s, inventory=[replace(s.inventory[0], sold=1)]),
        "has held 0, sold 1; its bookings have 0, 2",
    ),
    "a hold that never ends": (
        lambda s: replace(s, bookings=[s.bookings[0], replace(s.bookings[1], status="held")]),
        "booking b is still held",
    ),
    "a confirmation without a request": (
        lambda s: replace(s, bookings=[s.bookings[0], replace(s.bookings[1], was_confirmed=True)]),
        "is confirmed without a request",
    ),
    "an expired confirmed booking": (
        lambda s: replace(s, bookings=[replace(s.bookings[0], status="expired"), s.bookings[1]]),
        "booking a expired although it was confirmed",
    ),
    "a cancellation without a request": (
        lambda s: replace(s, bookings=[replace(s.bookings[0], status="cancelled"), s.bookings[1]]),
        "booking a is cancelled without a request",
    ),
    "a lost message": (
        lambda s: replace(s, event_log=[m for m in s.event_log if m.id != "a1"]),
        "booking a has 0 confirmed messages",
    ),
    "a confirmed booking without a message": (
        lambda s: replace(s, event_log=[m for m in s.event_log if m.id != "a1"]),
        "no message was published about the confirmed booking a",
    ),
    "two messages for one confirmation": (
        lambda s: replace(s, event_log=[*s.event_log, LoggedMessage("a9", CONFIRMED, "a", 1)]),
        "booking a has 2 confirmed messages",
    ),
    "two expiries": (
        lambda s: replace(s, event_log=[*s.event_log, LoggedMessage("b9", EXPIRED, "b", 3)]),
        "booking b, expired, has 2 expired messages",
    ),
    "messages out of order": (
        lambda s: replace(s, event_log=[s.event_log[0], *reversed(s.event_log[1:])]),
        "is at version 2, the log has [2, 1]",
    ),
    "a message about an unknown booking": (
        lambda s: replace(s, event_log=[*s.event_log, LoggedMessage("c1", CONFIRMED, "c", 1)]),
        "the log has booking c",
    ),
    "an unhandled booking message": (
        lambda s: replace(s, handled_by_notification=frozenset({"a1"})),
        f"notification has not handled {EXPIRED} of b",
    ),
    "an unhandled catalog message": (
        lambda s: replace(s, handled_by_booking=frozenset()),
        "booking has not handled goticket.catalog.event.published.v1",
    ),
    "a lost e-mail": (
        lambda s: replace(s, emails=s.emails[1:]),
        "buyer ann has no e-mail that booking a is confirmed",
    ),
    "an e-mail to another address": (
        lambda s: replace(s, emails=[replace(s.emails[0], recipient="eve@x.example"), s.emails[1]]),
        "buyer ann has no e-mail",
    ),
    "an e-mail without a message": (
        lambda s: replace(s, emails=[*s.emails, Email("z9", "ann@x.example", 12.0)]),
        "an e-mail refers to message z9",
    ),
    "a repeated e-mail": (
        lambda s: replace(s, emails=[*s.emails, Email("a1", "ann@x.example", 12.0)]),
        "the e-mail about message a1 was sent twice without a fault",
    ),
    "a backlog": (
        lambda s: replace(s, backlog={"notification.events.dead": 2}),
        "2 still in notification.events.dead",
    ),
}


@pytest.mark.parametrize("name", WRONG_SNAPSHOTS)
def test_a_wrong_state_is_reported(name: str) -> None:
    change, sentence = WRONG_SNAPSHOTS[name]
    assert any(sentence in each for each in violations(purchases(), change(snapshot())))


WRONG_RESPONSES: dict[str, tuple[Callable[[list[Purchase]], object], str]] = {
    "two bookings for one request": (
        lambda all_: all_[0].responses.append(ClientResponse(BOOK, 201, "", "b", "confirmed")),
        "buyer ann received several bookings: a, b",
    ),
    "a booking of another buyer": (
        lambda all_: all_[0].responses.append(ClientResponse(BOOK, 201, "", "b", "held")),
        "booking b does not belong to buyer ann",
    ),
    "a confirmation that is not stored": (
        lambda all_: all_[1].responses.append(ClientResponse(CONFIRM, 200, "", "b", "confirmed")),
        "booking b was reported as confirmed but is not",
    ),
    "a cancellation that is not stored": (
        lambda all_: all_[0].responses.append(ClientResponse(CANCEL, 200, "", "a", "cancelled")),
        "booking a was reported as cancelled but is confirmed",
    ),
    "an internal error": (
        lambda all_: all_[0].responses.insert(0, ClientResponse(BOOK, 500, "internal")),
        "buyer ann received 500 internal to book",
    ),
    "an unexpected error": (
        lambda all_: all_[2].responses.append(ClientResponse(BOOK, 404, "event_not_found")),
        "buyer cat received 404 event_not_found to book",
    ),
    "no final response": (
        lambda all_: all_.append(
            purchase("dan", ClientResponse(BOOK, None), ClientResponse(BOOK, 503))
        ),
        "buyer dan never got a final response to book",
    ),
}


@pytest.mark.parametrize("name", WRONG_RESPONSES)
def test_a_wrong_response_is_reported(name: str) -> None:
    change, sentence = WRONG_RESPONSES[name]
    recorded = purchases()
    change(recorded)
    assert any(sentence in each for each in violations(recorded, snapshot()))


def test_a_repeated_email_is_allowed_only_during_a_fault_that_can_cause_it() -> None:
    correct = snapshot()
    repeated = replace(correct, emails=[*correct.emails, Email("a1", "ann@x.example", 30.0)])
    assert violations(purchases(), repeated, [DuplicateWindow(began=9.0, ended=12.0)]) == []
    assert violations(purchases(), repeated, [DuplicateWindow(began=2.0, ended=8.0)])
    assert violations(purchases(), repeated, [DuplicateWindow(began=31.0, ended=35.0)])


def test_a_disconnected_request_may_have_a_booking_despite_a_later_rejection() -> None:
    recorded = purchases()
    recorded[1].responses[:] = [ClientResponse(BOOK, None), ClientResponse(BOOK, 409, "sold_out")]
    assert violations(recorded, snapshot()) == []
