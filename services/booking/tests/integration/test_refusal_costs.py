"""A refused command signs no ticket: a refusal must not cost more than a sale."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from booking.application.booking_context import CreatedBooking
from booking.application.commands.confirm_booking import confirm_booking
from booking.application.commands.provision_event import COMPLETE_SECONDS, ProvisionEvent
from booking.domain.booking import IssuedTicket
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import EventCancelled, HoldExpired, UnknownTicketType
from booking.domain.event import CatalogEvent, EventStatus
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError, Forbidden
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem

Commands = Callable[..., CreateBookingCommand]
Users = Callable[..., Actor]
CAPACITY = 12


class Signatures:
    """Counts the signed tickets."""

    def __init__(self, system: "BookingSystem") -> None:
        self.count = 0
        self._issue = system.context.issue
        system.context = replace(system.context, issue=self)

    def __call__(self, event_id: UUID) -> IssuedTicket:
        self.count += 1
        return self._issue(event_id)


@pytest.fixture
def signatures(system: "BookingSystem") -> Signatures:
    return Signatures(system)


@pytest.fixture
async def event(system: "BookingSystem", command: Commands) -> AsyncIterator[CatalogEvent]:
    """An event that has sold a ticket, so that this process knows its inventory."""
    opened = await system.open_event(CAPACITY)
    await system.book(opened, command(1, key="used"))
    yield opened
    await system.assert_consistent()


async def _end(system: "BookingSystem", event: CatalogEvent) -> None:
    system.clock.time = event.event.ends_at


async def _cancel(system: "BookingSystem", event: CatalogEvent) -> None:
    cancelled = replace(event.event, status=EventStatus.CANCELLED, version=2)
    await system.update_event(CatalogEvent(cancelled, event.offers))


async def _limit_buyers(system: "BookingSystem", event: CatalogEvent) -> None:
    limited = replace(event.event, max_per_buyer=1, version=2)
    await system.update_event(CatalogEvent(limited, event.offers))


async def _nothing(_system: "BookingSystem", _event: CatalogEvent) -> None:
    pass


Change = Callable[["BookingSystem", CatalogEvent], Awaitable[None]]


@pytest.mark.parametrize(
    ("code", "wanted", "change"),
    [
        ("validation_failed", {"quantity": 0}, _nothing),
        ("validation_failed", {"key": "with space"}, _nothing),
        ("max_per_booking_exceeded", {"quantity": 10**9}, _nothing),
        ("max_per_booking_exceeded", {"quantity": 11}, _nothing),
        ("unknown_ticket_type", {"lines": [(UUID(int=1), 10)]}, _nothing),
        ("sold_out", {"quantity": 10}, _nothing),
        ("event_over", {"quantity": 10}, _end),
        ("event_cancelled", {"quantity": 10}, _cancel),
        ("max_per_buyer_exceeded", {"quantity": 10}, _limit_buyers),
    ],
)
async def test_a_refused_command_signs_no_ticket(
    system: "BookingSystem",
    signatures: Signatures,
    event: CatalogEvent,
    command: Commands,
    code: str,
    wanted: dict[str, object],
    change: Change,
) -> None:
    await system.book(event, command(2))
    assert signatures.count == 3
    await change(system, event)
    for _ in range(2):
        refused = await system.create(event, command(**wanted), command(**wanted))
        assert [result.code for result in refused if isinstance(result, DomainError)] == [code] * 2
        if change is not _nothing:
            continue  # the first batch after a change is decided by the old state
        assert signatures.count == 3
    before = signatures.count
    await system.create(event, command(**wanted))
    assert signatures.count == before


async def test_a_key_that_was_used_for_another_request_signs_no_more_than_a_sale(
    system: "BookingSystem", signatures: Signatures, event: CatalogEvent, command: Commands
) -> None:
    [refused] = await system.create(event, command(2, key="used"))
    assert getattr(refused, "code", "") == "idempotency_key_reused"
    assert signatures.count <= 1 + 2, "as many as the booking would have"


async def test_an_unknown_event_signs_no_ticket_and_its_batch_makes_one_call(
    system: "BookingSystem", signatures: Signatures, command: Commands
) -> None:
    unknown = system.add_to_catalog(CAPACITY)
    del system.catalog.events[unknown.event.id]
    results = await system.create(unknown, *(command(10) for _ in range(5)))
    assert [getattr(result, "code", "") for result in results] == ["event_not_found"] * 5
    assert (signatures.count, system.catalog.calls) == (0, 1)


async def test_unknown_ticket_types_of_an_event_cost_one_call_of_the_catalog_a_second(
    system: "BookingSystem", event: CatalogEvent, command: Commands
) -> None:
    time = 0.0
    provision = ProvisionEvent(system.catalog, system.bookings, clock=lambda: time)
    system.context = replace(system.context, provision=provision)
    calls = system.catalog.calls
    for number in range(5):
        [result] = await system.create(event, command(lines=[(UUID(int=number), 1)]))
        assert isinstance(result, UnknownTicketType)
    assert system.catalog.calls == calls + 1
    time = COMPLETE_SECONDS
    await system.create(event, command(lines=[(UUID(int=1), 1)]))
    assert system.catalog.calls == calls + 2


async def test_a_sale_signs_in_advance_once_the_event_is_known(
    system: "BookingSystem", signatures: Signatures, event: CatalogEvent, command: Commands
) -> None:
    assert system.context.known_inventories.probably_grants(
        replace(command(2), event_id=event.event.id), system.clock()
    )
    [result] = await system.create(event, command(2))
    assert isinstance(result, CreatedBooking)
    assert signatures.count == 3


@pytest.mark.parametrize("error", [HoldExpired, EventCancelled, Forbidden])
async def test_a_hold_that_cannot_be_confirmed_signs_no_ticket(
    system: "BookingSystem",
    signatures: Signatures,
    event: CatalogEvent,
    command: Commands,
    user: Users,
    error: type[DomainError],
) -> None:
    hold = await system.book(event, command(5, hold=True))
    if error is HoldExpired:
        system.clock.advance(timedelta(days=1))
    elif error is EventCancelled:
        await _cancel(system, event)
    with pytest.raises(error):
        await confirm_booking(
            hold.id,
            user(2 if error is Forbidden else 1),
            bookings=system.bookings,
            issue=signatures,
            now=system.clock,
        )
    assert signatures.count == 1


async def test_known_inventories_are_bounded_by_their_ticket_types(
    system: "BookingSystem", event: CatalogEvent, command: Commands
) -> None:
    known = type(system.context.known_inventories)(max_ticket_types=3)
    inventories = [
        replace(found, event=replace(found.event, id=new_id()))
        for found in await system.bookings.find_inventories([event.event.id])
        for _ in range(5)
    ]
    known.record(inventories)
    wanted = [replace(command(1), event_id=each.event.id) for each in inventories]
    remembered = [known.probably_grants(each, system.clock()) for each in wanted]
    assert remembered == [False, False, True, True, True]
