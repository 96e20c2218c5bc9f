"""Checks the invariants after a run: client records and a snapshot in, violations out.

It does no I/O, so `test_checker.py` can test it with crafted violations. Each rule is one
invariant of the system. An empty result means that all of them hold.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from goticket_contracts import event_types

from goticket_testing.chaos.records import (
    ClientResponse,
    DuplicateWindow,
    Email,
    LoggedMessage,
    Operation,
    Purchase,
    Snapshot,
    StoredBooking,
    StoredTicket,
)

T = TypeVar("T")
HELD, CONFIRMED = event_types.BOOKING_HELD, event_types.BOOKING_CONFIRMED
CANCELLED, EXPIRED = event_types.BOOKING_CANCELLED, event_types.BOOKING_EXPIRED
CAUSES_EMAIL = {CONFIRMED, CANCELLED, EXPIRED}
EXPECTED_ERRORS = {
    Operation.BOOK: {"sold_out"},
    Operation.CONFIRM: {"hold_expired", "booking_closed"},
    Operation.CANCEL: {"booking_closed"},
}
"""The only error codes that a client may finally receive."""


class View:
    """The snapshot, indexed for the rules."""

    def __init__(self, purchases: Sequence[Purchase], snapshot: Snapshot) -> None:
        self.purchases = purchases
        self.snapshot = snapshot

    @cached_property
    def purchase_by_buyer(self) -> Mapping[str, Purchase]:
        """Each buyer's only purchase."""
        return {purchase.buyer_id: purchase for purchase in self.purchases}

    @cached_property
    def bookings(self) -> Mapping[str, StoredBooking]:
        """Bookings by id."""
        return {booking.id: booking for booking in self.snapshot.bookings}

    @cached_property
    def bookings_by_buyer(self) -> Mapping[str, list[StoredBooking]]:
        """Bookings by buyer."""
        return _grouped(self.snapshot.bookings, lambda booking: booking.user_id)

    @cached_property
    def tickets_by_booking(self) -> Mapping[str, list[StoredTicket]]:
        """Tickets by booking."""
        return _grouped(self.snapshot.tickets, lambda ticket: ticket.booking_id)

    @cached_property
    def log_by_subject(self) -> Mapping[str, list[LoggedMessage]]:
        """Each booking's messages in the order of their first appearance, without repeats."""
        return _grouped(dict.fromkeys(self.snapshot.event_log), lambda logged: logged.subject)

    @cached_property
    def emails_by_message(self) -> Mapping[str, list[Email]]:
        """E-mails by the message that caused them, oldest first."""
        by_time = sorted(self.snapshot.emails, key=lambda email: email.at)
        return _grouped(by_time, lambda email: email.message_id)

    def booking_of(self, purchase: Purchase) -> StoredBooking | None:
        """The first stored booking of a purchase."""
        return next(iter(self.bookings_by_buyer.get(purchase.buyer_id, ())), None)


def violations(
    purchases: Sequence[Purchase], snapshot: Snapshot, windows: Sequence[DuplicateWindow] = ()
) -> list[str]:
    """Return every violation as a sentence."""
    view = View(purchases, snapshot)
    found = [sentence for rule in RULES for sentence in rule(view)]
    return [*found, *emails_repeat_only_after_crashes(view, windows)]


def permanent_violations(purchases: Sequence[Purchase]) -> list[str]:
    """Return the violations that the responses alone prove; waiting cannot resolve them."""
    return list(every_client_gets_an_expected_response(View(purchases, Snapshot())))


def every_client_gets_an_expected_response(view: View) -> Iterator[str]:
    """After recovery every request has a final response, and no response was a 500."""
    for purchase in view.purchases:
        for operation in Operation:
            responses = purchase.responses_to(operation)
            if responses and not any(each.final for each in responses):
                yield f"{_name(purchase)} never got a final response to {operation}: " + (
                    _counts(responses)
                )
            for each in responses:
                if each.status and not _expected(each):
                    yield f"{_name(purchase)} received {each.status} {each.code} to {operation}"


def _expected(response: ClientResponse) -> bool:
    if response.succeeded or not response.final:
        return response.status != 500
    return response.code in EXPECTED_ERRORS[response.operation]


def acknowledged_bookings_are_stored(view: View) -> Iterator[str]:
    """Every 201 is in the database with exactly its tickets; one key is one booking."""
    for purchase in view.purchases:
        ids = sorted({each.booking_id for each in purchase.successes(Operation.BOOK)})
        if len(ids) > 1:
            yield f"{_name(purchase)} received several bookings: {', '.join(ids)}"
        for identifier in ids:
            booking = view.bookings.get(identifier)
            if booking is None:
                yield f"lost: {_name(purchase)} received booking {identifier}, it is not stored"
            elif (booking.user_id, booking.event_id) != (purchase.buyer_id, purchase.event_id):
                yield f"booking {identifier} does not belong to {_name(purchase)}"
        for each in purchase.responses:
            stored = {ticket.id for ticket in view.tickets_by_booking.get(each.booking_id, ())}
            if each.succeeded and each.tickets and each.tickets != stored:
                yield f"booking {each.booking_id} has other tickets than its buyer received"


def stored_bookings_were_requested(view: View) -> Iterator[str]:
    """Every booking has a buyer and the requested lines; a rejected buyer has none."""
    for booking in view.snapshot.bookings:
        purchase = view.purchase_by_buyer.get(booking.user_id)
        if purchase is None:
            yield f"no client requested booking {booking.id}"
        elif dict(booking.lines) != dict(purchase.quantities):
            yield f"booking {booking.id} has other lines than {_name(purchase)} requested"
    for purchase in view.purchases:
        bookings = view.bookings_by_buyer.get(purchase.buyer_id, [])
        if len(bookings) > 1:
            yield f"{_name(purchase)} has {len(bookings)} bookings for one key"
        if bookings and purchase.rejected(Operation.BOOK):
            yield f"{_name(purchase)} was rejected but has booking {bookings[0].id}"


def every_booking_has_its_key(view: View) -> Iterator[str]:
    """Each booking has exactly one idempotency key, and each key has a booking."""
    keys = _grouped(view.snapshot.keys, lambda key: key.booking_id)
    for booking in view.snapshot.bookings:
        purchase = view.purchase_by_buyer.get(booking.user_id)
        stored = [(key.user_id, key.key) for key in keys.get(booking.id, ())]
        if purchase is not None and stored != [(purchase.buyer_id, purchase.key)]:
            yield f"booking {booking.id} has the keys {stored} instead of its own"
    for key in view.snapshot.keys:
        if key.booking_id not in view.bookings:
            yield f"a key refers to booking {key.booking_id}, which is not stored"


def states_match_the_responses(view: View) -> Iterator[str]:
    """Stored states are those that the responses to the client imply."""
    for purchase in view.purchases:
        booking = view.booking_of(purchase)
        if booking is None:
            continue
        confirmed = not purchase.hold or bool(purchase.successes(Operation.CONFIRM))
        if confirmed and not booking.was_confirmed:
            yield f"booking {booking.id} was reported as confirmed but is not"
        may_be_confirmed = purchase.responses_to(Operation.CONFIRM) and not (
            purchase.rejected(Operation.CONFIRM)
        )
        if purchase.hold and booking.was_confirmed and not may_be_confirmed:
            yield f"booking {booking.id} is confirmed without a request to confirm"
        if purchase.successes(Operation.CANCEL) and booking.status != "cancelled":
            yield f"booking {booking.id} was reported as cancelled but is {booking.status}"
        if booking.status == "cancelled" and not purchase.responses_to(Operation.CANCEL):
            yield f"booking {booking.id} is cancelled without a request to cancel"
        if booking.status == "expired" and booking.was_confirmed:
            yield f"booking {booking.id} expired although it was confirmed"
        if booking.status == "held":
            yield f"booking {booking.id} is still held"


def inventory_matches_bookings(view: View) -> Iterator[str]:
    """Sold and held are the sums over open bookings and never exceed the capacity."""
    sums: dict[str, Counter[tuple[str, str]]] = {"held": Counter(), "confirmed": Counter()}
    for booking in view.snapshot.bookings:
        for ticket_type, quantity in booking.lines.items():
            if booking.status in sums:
                sums[booking.status][booking.event_id, ticket_type] += quantity
    for row in view.snapshot.inventory:
        where = (row.event_id, row.ticket_type_id)
        booked = sums["held"][where] + sums["confirmed"][where]
        if max(booked, row.sold + row.held) > row.capacity:
            yield (
                f"oversold: {booked} of {row.capacity} of ticket type {row.ticket_type_id}"
                f" are booked, the inventory has {row.sold + row.held}"
            )
        if (row.held, row.sold) != (sums["held"][where], sums["confirmed"][where]):
            yield (
                f"ticket type {row.ticket_type_id} has held {row.held}, sold {row.sold};"
                f" its bookings have {sums['held'][where]}, {sums['confirmed'][where]}"
            )


def bookings_have_their_tickets(view: View) -> Iterator[str]:
    """A confirmed booking has exactly its number of valid tickets, any other has none."""
    for booking in view.snapshot.bookings:
        tickets = view.tickets_by_booking.get(booking.id, [])
        valid = Counter(t.ticket_type_id for t in tickets if t.status != "void")
        if valid != Counter(booking.lines if booking.status == "confirmed" else {}):
            yield f"booking {booking.id}, {booking.status}, has {valid.total()} valid tickets"
        if not booking.was_confirmed and tickets:
            yield f"booking {booking.id} was never confirmed and has tickets"
    for code, count in Counter(ticket.code for ticket in view.snapshot.tickets).items():
        if count > 1:
            yield f"{count} tickets have the code {code[:12]}…"


def every_change_is_logged_once(view: View) -> Iterator[str]:
    """Each change of a booking has one message; versions are 1, 2, … without gaps."""
    for booking in view.snapshot.bookings:
        logged = view.log_by_subject.get(booking.id, [])
        confirmed = sum(message.type == CONFIRMED for message in logged)
        if confirmed != int(booking.was_confirmed):
            yield f"booking {booking.id} has {confirmed} confirmed messages"
        expired = sum(message.type == EXPIRED for message in logged)
        if expired != int(booking.status == "expired"):
            yield f"booking {booking.id}, {booking.status}, has {expired} expired messages"
        versions = [message.version for message in logged]
        if versions != list(range(1, booking.version + 1)):
            yield f"booking {booking.id} is at version {booking.version}, the log has {versions}"
    logged_bookings = {
        message.subject
        for message in view.snapshot.event_log
        if message.type in CAUSES_EMAIL | {HELD}
    }
    for unknown in logged_bookings - view.bookings.keys():
        yield f"the log has booking {unknown}, which is not stored"


def every_message_was_consumed(view: View) -> Iterator[str]:
    """Every message reached the queues that are bound to it, and its consumer handled it."""
    for message in dict.fromkeys(view.snapshot.event_log):
        if message.type in CAUSES_EMAIL and message.id not in view.snapshot.handled_by_notification:
            yield f"notification has not handled {message.type} of {message.subject}"
        if ".catalog." in message.type and message.id not in view.snapshot.handled_by_booking:
            yield f"booking has not handled {message.type} of {message.subject}"


def every_buyer_gets_an_email(view: View) -> Iterator[str]:
    """The last change of every booking reached its buyer; a superseded one may have no e-mail."""
    for booking in view.snapshot.bookings:
        purchase = view.purchase_by_buyer.get(booking.user_id)
        causes = [m for m in view.log_by_subject.get(booking.id, ()) if m.type in CAUSES_EMAIL]
        if booking.was_confirmed and not causes:
            yield f"lost: no message was published about the confirmed booking {booking.id}"
        for message in causes[-1:]:
            recipients = {e.recipient for e in view.emails_by_message.get(message.id, ())}
            if purchase is not None and recipients != {purchase.buyer_email}:
                yield f"{_name(purchase)} has no e-mail that booking {booking.id} is " + (
                    booking.status
                )
    known = {message.id for message in view.snapshot.event_log}
    for email in view.snapshot.emails:
        if email.message_id not in known:
            yield f"an e-mail refers to message {email.message_id}, which is not in the log"


def backlog_is_empty(view: View) -> Iterator[str]:
    """Outboxes, queues, dead-letter queues and the queue of deliveries are empty."""
    for where, count in view.snapshot.backlog.items():
        if count:
            yield f"{count} still in {where}"


def emails_repeat_only_after_crashes(
    view: View, windows: Sequence[DuplicateWindow]
) -> Iterator[str]:
    """An e-mail repeats only if a fault came between sending it and recording it."""
    for message_id, emails in view.emails_by_message.items():
        for first, second in pairwise(emails):
            allowed = (each.began <= second.at and each.ended >= first.at for each in windows)
            if not any(allowed):
                yield f"the e-mail about message {message_id} was sent twice without a fault"


RULES: tuple[Callable[[View], Iterable[str]], ...] = (
    acknowledged_bookings_are_stored,
    stored_bookings_were_requested,
    every_booking_has_its_key,
    states_match_the_responses,
    inventory_matches_bookings,
    bookings_have_their_tickets,
    every_change_is_logged_once,
    every_message_was_consumed,
    every_buyer_gets_an_email,
    backlog_is_empty,
    every_client_gets_an_expected_response,
)


def _grouped(items: Iterable[T], key: Callable[[T], str]) -> Mapping[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _name(purchase: Purchase) -> str:
    return f"buyer {purchase.buyer_id[:13]}"


def _counts(responses: Sequence[ClientResponse]) -> str:
    counts = Counter(f"{each.status} {each.code}".strip() for each in responses)
    return ", ".join(f"{count}x {text}" for text, count in counts.items())
