"""Judges a run: records of the clients and what was found, to a list of violations.

Pure, so that it can be tested alone. Every rule is one invariant of the system; an
empty list means that all of them hold.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from goticket_contracts import event_types

from goticket_testing.chaos.records import (
    Booking,
    Disturbance,
    Logged,
    Mail,
    Order,
    Snapshot,
    Step,
    Ticket,
    Told,
)

T = TypeVar("T")
HELD, CONFIRMED = event_types.BOOKING_HELD, event_types.BOOKING_CONFIRMED
CANCELLED, EXPIRED = event_types.BOOKING_CANCELLED, event_types.BOOKING_EXPIRED
TOLD_BY_MAIL = {CONFIRMED, CANCELLED, EXPIRED}
REFUSALS = {
    Step.BOOK: {"sold_out"},
    Step.CONFIRM: {"hold_expired", "booking_closed"},
    Step.CANCEL: {"booking_closed"},
}
"""What a client may finally be refused with; anything else is a surprise."""


class View:
    """The snapshot, arranged for the rules."""

    def __init__(self, orders: Sequence[Order], found: Snapshot) -> None:
        self.orders = orders
        self.found = found

    @cached_property
    def order_of(self) -> Mapping[str, Order]:
        """Each buyer's only order."""
        return {order.buyer_id: order for order in self.orders}

    @cached_property
    def bookings(self) -> Mapping[str, Booking]:
        """Bookings by id."""
        return {booking.id: booking for booking in self.found.bookings}

    @cached_property
    def bookings_of(self) -> Mapping[str, list[Booking]]:
        """Bookings by buyer."""
        return _grouped(self.found.bookings, lambda booking: booking.user_id)

    @cached_property
    def tickets_of(self) -> Mapping[str, list[Ticket]]:
        """Tickets by booking."""
        return _grouped(self.found.tickets, lambda ticket: ticket.booking_id)

    @cached_property
    def log_of(self) -> Mapping[str, list[Logged]]:
        """Each booking's events in the order of their first appearance, without repeats."""
        return _grouped(dict.fromkeys(self.found.log), lambda logged: logged.subject)

    @cached_property
    def mails_of(self) -> Mapping[str, list[Mail]]:
        """Mails by the event they tell of, oldest first."""
        by_time = sorted(self.found.mails, key=lambda mail: mail.at)
        return _grouped(by_time, lambda mail: mail.event_id)

    def booking_of(self, order: Order) -> Booking | None:
        """The first booking found for an order."""
        return next(iter(self.bookings_of.get(order.buyer_id, ())), None)


def violations(
    orders: Sequence[Order], found: Snapshot, disturbances: Sequence[Disturbance] = ()
) -> list[str]:
    """Return what is wrong, in sentences."""
    view = View(orders, found)
    wrong = [sentence for rule in RULES for sentence in rule(view)]
    return [*wrong, *mails_repeat_only_by_crashes(view, disturbances)]


def beyond_mending(orders: Sequence[Order]) -> list[str]:
    """Return what is wrong with the answers alone: no waiting makes it right."""
    return list(every_client_got_a_fitting_answer(View(orders, Snapshot())))


def every_client_got_a_fitting_answer(view: View) -> Iterator[str]:
    """After the system was healed nobody is left in doubt, and nobody ever saw our insides."""
    for order in view.orders:
        for step in Step:
            answers = order.answers(step)
            if answers and not any(told.definite for told in answers):
                yield f"{_name(order)} never got an answer to {step}: {_sum(answers)}"
            for told in answers:
                if told.status and not _fitting(told):
                    yield f"{_name(order)} was told {told.status} {told.code} to {step}"


def _fitting(told: Told) -> bool:
    if told.granted or not told.definite:
        return told.status != 500
    return told.code in REFUSALS[told.step]


def what_was_granted_is_there(view: View) -> Iterator[str]:
    """Every 201 is in the database, with exactly its tickets; one key is one booking."""
    for order in view.orders:
        granted = order.granted(Step.BOOK)
        ids = sorted({told.booking_id for told in granted})
        if len(ids) > 1:
            yield f"{_name(order)} was told of several bookings: {', '.join(ids)}"
        for identifier in ids:
            booking = view.bookings.get(identifier)
            if booking is None:
                yield f"lost: {_name(order)} was told of booking {identifier}, which is not there"
            elif (booking.user_id, booking.event_id) != (order.buyer_id, order.event_id):
                yield f"booking {identifier} is not {_name(order)}'s"
        for told in order.told:
            there = {ticket.id for ticket in view.tickets_of.get(told.booking_id, ())}
            if told.granted and told.tickets and told.tickets != there:
                yield f"booking {told.booking_id} has other tickets than its buyer was told"


def nothing_is_there_that_nobody_asked_for(view: View) -> Iterator[str]:
    """Every booking is somebody's, as asked; who was refused has none."""
    for booking in view.found.bookings:
        order = view.order_of.get(booking.user_id)
        if order is None:
            yield f"nobody asked for booking {booking.id}"
        elif dict(booking.lines) != dict(order.wanted):
            yield f"booking {booking.id} has other lines than {_name(order)} asked for"
    for order in view.orders:
        bookings = view.bookings_of.get(order.buyer_id, [])
        if len(bookings) > 1:
            yield f"{_name(order)} has {len(bookings)} bookings for one key"
        if bookings and order.refused(Step.BOOK):
            yield f"{_name(order)} was refused and has booking {bookings[0].id} all the same"


def every_booking_has_its_key(view: View) -> Iterator[str]:
    """Idempotency keys and bookings pair up."""
    keys = _grouped(view.found.keys, lambda key: key.booking_id)
    for booking in view.found.bookings:
        order = view.order_of.get(booking.user_id)
        stored = [(key.user_id, key.key) for key in keys.get(booking.id, ())]
        if order is not None and stored != [(order.buyer_id, order.key)]:
            yield f"booking {booking.id} has the keys {stored}, not just its own"
    for key in view.found.keys:
        if key.booking_id not in view.bookings:
            yield f"a key names booking {key.booking_id}, which is not there"


def states_are_what_clients_were_told(view: View) -> Iterator[str]:
    """Confirmed, cancelled and expired bookings are those that clients know to be."""
    for order in view.orders:
        booking = view.booking_of(order)
        if booking is None:
            continue
        asked_to_cancel = bool(order.answers(Step.CANCEL))
        asked_to_confirm = bool(order.answers(Step.CONFIRM))
        confirmed = not order.hold or bool(order.granted(Step.CONFIRM))
        if confirmed and not booking.was_confirmed:
            yield f"booking {booking.id} was confirmed to its buyer and is not"
        nobody_said_yes = not asked_to_confirm or order.refused(Step.CONFIRM)
        if order.hold and booking.was_confirmed and nobody_said_yes:
            yield f"booking {booking.id} is confirmed, to which nobody said yes"
        if order.granted(Step.CANCEL) and booking.status != "cancelled":
            yield f"booking {booking.id} was cancelled to its buyer and is {booking.status}"
        if booking.status == "cancelled" and not asked_to_cancel:
            yield f"nobody cancelled booking {booking.id}"
        if booking.status == "expired" and booking.was_confirmed:
            yield f"booking {booking.id} expired though it was confirmed"
        if booking.status == "held":
            yield f"booking {booking.id} is still held"


def stock_adds_up(view: View) -> Iterator[str]:
    """Sold and held are the sums over open bookings, and never more than there is."""
    sums: dict[str, Counter[tuple[str, str]]] = {"held": Counter(), "confirmed": Counter()}
    for booking in view.found.bookings:
        for ticket_type, quantity in booking.lines.items():
            if booking.status in sums:
                sums[booking.status][booking.event_id, ticket_type] += quantity
    for row in view.found.stock:
        where = (row.event_id, row.ticket_type_id)
        taken = sums["held"][where] + sums["confirmed"][where]
        if max(taken, row.sold + row.held) > row.capacity:
            yield (
                f"oversold: {taken} of {row.capacity} of ticket type {row.ticket_type_id}"
                f" are taken, the stock says {row.sold + row.held}"
            )
        if (row.held, row.sold) != (sums["held"][where], sums["confirmed"][where]):
            yield (
                f"ticket type {row.ticket_type_id} says held {row.held}, sold {row.sold};"
                f" its bookings are {sums['held'][where]}, {sums['confirmed'][where]}"
            )


def bookings_have_their_tickets(view: View) -> Iterator[str]:
    """A confirmed booking has exactly its number of valid tickets, any other none."""
    for booking in view.found.bookings:
        tickets = view.tickets_of.get(booking.id, [])
        valid = Counter(t.ticket_type_id for t in tickets if t.status != "void")
        if valid != Counter(booking.lines if booking.status == "confirmed" else {}):
            yield f"booking {booking.id}, {booking.status}, has {valid.total()} valid tickets"
        if not booking.was_confirmed and tickets:
            yield f"booking {booking.id} was never confirmed and has tickets"
    for code, count in Counter(ticket.code for ticket in view.found.tickets).items():
        if count > 1:
            yield f"{count} tickets have the code {code[:12]}…"


def every_change_is_logged_once(view: View) -> Iterator[str]:
    """One event for each change of a booking, in order: versions 1, 2, … without gaps."""
    for booking in view.found.bookings:
        logged = view.log_of.get(booking.id, [])
        confirmed = sum(event.type == CONFIRMED for event in logged)
        if confirmed != int(booking.was_confirmed):
            yield f"booking {booking.id} has {confirmed} confirmed events"
        if sum(event.type == EXPIRED for event in logged) != int(booking.status == "expired"):
            yield f"booking {booking.id}, {booking.status}, has not its one expired event"
        versions = [event.version for event in logged]
        if versions != list(range(1, booking.version + 1)):
            yield f"booking {booking.id} is at version {booking.version}, the log has {versions}"
    bookings = {event.subject for event in view.found.log if event.type in TOLD_BY_MAIL | {HELD}}
    for stranger in bookings - view.bookings.keys():
        yield f"the log tells of booking {stranger}, which is not there"


def inboxes_have_no_gaps(view: View) -> Iterator[str]:
    """Every event reached the queues that are bound to it, and its consumer finished it."""
    for event in dict.fromkeys(view.found.log):
        if event.type in TOLD_BY_MAIL and event.id not in view.found.notified:
            yield f"notification has not handled {event.type} of {event.subject}"
        if ".catalog." in event.type and event.id not in view.found.followed:
            yield f"booking has not handled {event.type} of {event.subject}"


def every_buyer_is_told(view: View) -> Iterator[str]:
    """The last change of every booking reached its buyer; one passed over may go untold."""
    for booking in view.found.bookings:
        order = view.order_of.get(booking.user_id)
        to_tell = [e for e in view.log_of.get(booking.id, ()) if e.type in TOLD_BY_MAIL]
        if booking.was_confirmed and not to_tell:
            yield f"lost: nothing was ever told of the confirmed booking {booking.id}"
        for event in to_tell[-1:]:
            recipients = {mail.recipient for mail in view.mails_of.get(event.id, ())}
            if order is not None and recipients != {order.buyer_email}:
                yield f"no mail tells {_name(order)} that booking {booking.id} is {booking.status}"
    known = {event.id for event in view.found.log}
    for mail in view.found.mails:
        if mail.event_id not in known:
            yield f"a mail tells of event {mail.event_id}, which is not in the log"


def nothing_waits(view: View) -> Iterator[str]:
    """Outboxes and queues are empty, dead letters first of all."""
    for where, count in view.found.waiting.items():
        if count:
            yield f"{count} still in {where}"


def mails_repeat_only_by_crashes(view: View, disturbances: Sequence[Disturbance]) -> Iterator[str]:
    """A letter comes twice only where something cut the note that it was sent."""
    for identifier, mails in view.mails_of.items():
        for first, second in pairwise(mails):
            excuses = (each.began <= second.at and each.ended >= first.at for each in disturbances)
            if not any(excuses):
                yield f"the mail about event {identifier} came twice without a reason"


RULES: tuple[Callable[[View], Iterable[str]], ...] = (
    what_was_granted_is_there,
    nothing_is_there_that_nobody_asked_for,
    every_booking_has_its_key,
    states_are_what_clients_were_told,
    stock_adds_up,
    bookings_have_their_tickets,
    every_change_is_logged_once,
    inboxes_have_no_gaps,
    every_buyer_is_told,
    nothing_waits,
    every_client_got_a_fitting_answer,
)


def _grouped(items: Iterable[T], key: Callable[[T], str]) -> Mapping[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _name(order: Order) -> str:
    return f"buyer {order.buyer_id[:13]}"


def _sum(answers: Sequence[Told]) -> str:
    counts = Counter(f"{told.status} {told.code}".strip() for told in answers)
    return ", ".join(f"{count}x {text}" for text, count in counts.items())
