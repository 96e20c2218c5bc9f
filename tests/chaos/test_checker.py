"""The checker finds nothing wrong with a good run, and names what is wrong with a bad one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from goticket_contracts import event_types
from goticket_testing.chaos.checker import violations
from goticket_testing.chaos.records import (
    Booking,
    Disturbance,
    Key,
    Logged,
    Mail,
    Order,
    Snapshot,
    Step,
    Stock,
    Ticket,
    Told,
)

CONFIRMED, EXPIRED = event_types.BOOKING_CONFIRMED, event_types.BOOKING_EXPIRED


def order(name: str, *told: Told, hold: bool = False, quantity: int = 1) -> Order:
    wanted = {"type": quantity}
    return Order(name, f"{name}@x.example", "event", f"key-{name}", wanted, hold, list(told))


def orders() -> list[Order]:
    """Ann bought two at the second try, Bob let his hold expire, Cat came too late."""
    yes = Told(Step.BOOK, 201, "", "a", "confirmed", frozenset({"t1", "t2"}))
    return [
        order("ann", Told(Step.BOOK, None), yes, quantity=2),
        order("bob", Told(Step.BOOK, 201, "", "b", "held"), hold=True),
        order("cat", Told(Step.BOOK, 409, "sold_out")),
    ]


def found() -> Snapshot:
    """What should be there after `orders`."""
    return Snapshot(
        stock=[Stock("event", "type", 3, held=0, sold=2)],
        bookings=[
            Booking("a", "event", "ann", "confirmed", 1, True, {"type": 2}),
            Booking("b", "event", "bob", "expired", 2, False, {"type": 1}),
        ],
        tickets=[
            Ticket("t1", "a", "type", "code-1", "valid"),
            Ticket("t2", "a", "type", "code-2", "valid"),
        ],
        keys=[Key("ann", "key-ann", "a"), Key("bob", "key-bob", "b")],
        log=[
            Logged("p", event_types.EVENT_PUBLISHED, "event", 1),
            Logged("a1", CONFIRMED, "a", 1),
            Logged("b1", event_types.BOOKING_HELD, "b", 1),
            Logged("a1", CONFIRMED, "a", 1),  # at least once
            Logged("b2", EXPIRED, "b", 2),
        ],
        mails=[Mail("a1", "ann@x.example", 10.0), Mail("b2", "bob@x.example", 11.0)],
        notified=frozenset({"a1", "b2"}),
        followed=frozenset({"p"}),
        waiting={"booking.outbox": 0},
    )


def test_a_good_run_has_no_violations() -> None:
    assert violations(orders(), found()) == []


BAD_FINDS: dict[str, tuple[Callable[[Snapshot], Snapshot], str]] = {
    "a lost booking": (lambda s: replace(s, bookings=s.bookings[1:]), "lost: buyer ann"),
    "a lost ticket": (lambda s: replace(s, tickets=s.tickets[1:]), "has 1 valid tickets"),
    "an exchanged ticket": (
        lambda s: replace(s, tickets=[replace(s.tickets[0], id="t9"), s.tickets[1]]),
        "other tickets than its buyer was told",
    ),
    "a ticket code twice": (
        lambda s: replace(s, tickets=[replace(s.tickets[0], code="code-2"), s.tickets[1]]),
        "2 tickets have the code",
    ),
    "a ticket of an expired hold": (
        lambda s: replace(s, tickets=[*s.tickets, Ticket("t3", "b", "type", "c3", "void")]),
        "never confirmed and has tickets",
    ),
    "a stranger's booking": (
        lambda s: replace(s, bookings=[*s.bookings, replace(s.bookings[1], user_id="eve")]),
        "nobody asked for booking",
    ),
    "two bookings for one key": (
        lambda s: replace(s, bookings=[*s.bookings, replace(s.bookings[1], id="b'")]),
        "has 2 bookings for one key",
    ),
    "a booking of who was refused": (
        lambda s: replace(s, bookings=[*s.bookings, replace(s.bookings[1], user_id="cat")]),
        "was refused and has booking",
    ),
    "other lines": (
        lambda s: replace(s, bookings=[replace(s.bookings[0], lines={"type": 3}), s.bookings[1]]),
        "other lines than buyer ann asked for",
    ),
    "a lost key": (lambda s: replace(s, keys=s.keys[1:]), "has the keys []"),
    "a key of nothing": (
        lambda s: replace(s, keys=[*s.keys, Key("cat", "key-cat", "c")]),
        "a key names booking c",
    ),
    "too many sold": (
        lambda s: replace(s, stock=[replace(s.stock[0], capacity=1)]),
        "oversold: 2 of 1",
    ),
    "stock returned twice": (
        lambda s: replace(s, stock=[replace(s.stock[0], sold=1)]),
        "says held 0, sold 1; its bookings are 0, 2",
    ),
    "a hold that never ends": (
        lambda s: replace(s, bookings=[s.bookings[0], replace(s.bookings[1], status="held")]),
        "booking b is still held",
    ),
    "a confirmation nobody asked for": (
        lambda s: replace(s, bookings=[s.bookings[0], replace(s.bookings[1], was_confirmed=True)]),
        "to which nobody said yes",
    ),
    "an expiry of what was confirmed": (
        lambda s: replace(s, bookings=[replace(s.bookings[0], status="expired"), s.bookings[1]]),
        "booking a expired though it was confirmed",
    ),
    "a cancellation nobody asked for": (
        lambda s: replace(s, bookings=[replace(s.bookings[0], status="cancelled"), s.bookings[1]]),
        "nobody cancelled booking a",
    ),
    "an event lost": (
        lambda s: replace(s, log=[e for e in s.log if e.id != "a1"]),
        "booking a has 0 confirmed events",
    ),
    "a booking never told of": (
        lambda s: replace(s, log=[e for e in s.log if e.id != "a1"]),
        "nothing was ever told of the confirmed booking a",
    ),
    "an event made twice": (
        lambda s: replace(s, log=[*s.log, Logged("a9", CONFIRMED, "a", 1)]),
        "booking a has 2 confirmed events",
    ),
    "an expiry twice": (
        lambda s: replace(s, log=[*s.log, Logged("b9", EXPIRED, "b", 3)]),
        "booking b, expired, has not its one expired event",
    ),
    "events out of order": (
        lambda s: replace(s, log=[s.log[0], *reversed(s.log[1:])]),
        "is at version 2, the log has [2, 1]",
    ),
    "an event of nothing": (
        lambda s: replace(s, log=[*s.log, Logged("c1", CONFIRMED, "c", 1)]),
        "the log tells of booking c",
    ),
    "an event not handled": (
        lambda s: replace(s, notified=frozenset({"a1"})),
        f"notification has not handled {EXPIRED} of b",
    ),
    "a catalog event not handled": (
        lambda s: replace(s, followed=frozenset()),
        "booking has not handled goticket.catalog.event.published.v1",
    ),
    "a mail lost": (
        lambda s: replace(s, mails=s.mails[1:]),
        "no mail tells buyer ann that booking a is confirmed",
    ),
    "a mail to somebody else": (
        lambda s: replace(s, mails=[replace(s.mails[0], recipient="eve@x.example"), s.mails[1]]),
        "no mail tells buyer ann",
    ),
    "a mail of nothing": (
        lambda s: replace(s, mails=[*s.mails, Mail("z9", "ann@x.example", 12.0)]),
        "a mail tells of event z9",
    ),
    "a mail twice": (
        lambda s: replace(s, mails=[*s.mails, Mail("a1", "ann@x.example", 12.0)]),
        "the mail about event a1 came twice without a reason",
    ),
    "something left over": (
        lambda s: replace(s, waiting={"notification.booking-events.dead": 2}),
        "2 still in notification.booking-events.dead",
    ),
}


@pytest.mark.parametrize("name", BAD_FINDS)
def test_what_should_not_be_there_is_named(name: str) -> None:
    spoil, sentence = BAD_FINDS[name]
    assert any(sentence in each for each in violations(orders(), spoil(found())))


BAD_ANSWERS: dict[str, tuple[Callable[[list[Order]], object], str]] = {
    "told of two bookings": (
        lambda known: known[0].told.append(Told(Step.BOOK, 201, "", "b", "confirmed")),
        "buyer ann was told of several bookings: a, b",
    ),
    "told of somebody else's booking": (
        lambda known: known[0].told.append(Told(Step.BOOK, 201, "", "b", "held")),
        "booking b is not buyer ann's",
    ),
    "confirmed only to the buyer": (
        lambda known: known[1].told.append(Told(Step.CONFIRM, 200, "", "b", "confirmed")),
        "booking b was confirmed to its buyer and is not",
    ),
    "cancelled only to the buyer": (
        lambda known: known[0].told.append(Told(Step.CANCEL, 200, "", "a", "cancelled")),
        "booking a was cancelled to its buyer and is confirmed",
    ),
    "an internal error": (
        lambda known: known[0].told.insert(0, Told(Step.BOOK, 500, "internal")),
        "buyer ann was told 500 internal to book",
    ),
    "a refusal out of place": (
        lambda known: known[2].told.append(Told(Step.BOOK, 404, "event_not_found")),
        "buyer cat was told 404 event_not_found to book",
    ),
    "no answer at all": (
        lambda known: known.append(order("dan", Told(Step.BOOK, None), Told(Step.BOOK, 503))),
        "buyer dan never got an answer to book",
    ),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_what_should_not_be_said_is_named(name: str) -> None:
    spoil, sentence = BAD_ANSWERS[name]
    known = orders()
    spoil(known)
    assert any(sentence in each for each in violations(known, found()))


def test_a_crash_excuses_the_repeat_of_a_mail_and_nothing_else() -> None:
    twice = replace(found(), mails=[*found().mails, Mail("a1", "ann@x.example", 30.0)])
    assert violations(orders(), twice, [Disturbance(began=9.0, ended=12.0)]) == []
    assert violations(orders(), twice, [Disturbance(began=2.0, ended=8.0)])
    assert violations(orders(), twice, [Disturbance(began=31.0, ended=35.0)])


def test_who_hung_up_may_have_a_booking_in_spite_of_a_later_refusal() -> None:
    known = orders()
    known[1].told[:] = [Told(Step.BOOK, None), Told(Step.BOOK, 409, "sold_out")]
    assert violations(known, found()) == []
