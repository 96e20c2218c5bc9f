"""Provisioning: concurrent requests share one call to the catalog."""

import asyncio
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from uuid import UUID, uuid4

import pytest
from booking.application.commands.provision_event import MAX_EVENTS_PER_CALL, ProvisionEvent
from booking.application.in_flight_keys import InFlightKeys
from booking.application.ports import BookingOfEvent, Transaction
from booking.domain.errors import CatalogUnavailable
from booking.domain.event import CatalogEvent


class SlowCatalog:
    """Responds when the test allows it; has no event."""

    def __init__(self) -> None:
        self.calls = 0
        self.requested: list[UUID] = []
        self.response = asyncio.Event()
        self.down = False

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        self.calls += 1
        self.requested += event_ids
        await self.response.wait()
        if self.down:
            raise CatalogUnavailable
        return []


class UnusedBookings:
    """Is never called, because the catalog has no event."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise NotImplementedError

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        raise NotImplementedError


async def start_request(provision: ProvisionEvent, event_id: UUID) -> "asyncio.Task[bool]":
    task = asyncio.create_task(provision(event_id))
    await asyncio.sleep(0)
    return task


async def test_concurrent_requests_share_a_call_that_outlives_a_cancelled_one() -> None:
    catalog, event_id = SlowCatalog(), uuid4()
    provision = ProvisionEvent(catalog, UnusedBookings())
    first, second, third = [await start_request(provision, event_id) for _ in range(3)]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    catalog.response.set()
    assert [await second, await third] == [False, False]
    assert catalog.requested == [event_id]
    assert await provision(event_id) is False
    assert catalog.requested == [event_id, event_id]


async def test_all_requests_get_the_error_and_the_next_one_calls_again() -> None:
    catalog, event_id = SlowCatalog(), uuid4()
    catalog.down = True
    catalog.response.set()
    provision = ProvisionEvent(catalog, UnusedBookings())
    for task in [await start_request(provision, event_id) for _ in range(2)]:
        with pytest.raises(CatalogUnavailable):
            await task
    catalog.down = False
    assert await provision(event_id) is False


async def test_unknown_events_of_a_batch_are_fetched_in_one_call() -> None:
    catalog, ids = SlowCatalog(), [uuid4() for _ in range(MAX_EVENTS_PER_CALL)]
    catalog.response.set()
    provision = ProvisionEvent(catalog, UnusedBookings())
    assert await provision.all(ids) == dict.fromkeys(ids, False)
    assert catalog.calls == 1
    await provision.all([*ids, uuid4()])
    assert catalog.calls == 3


def test_a_key_is_in_flight_elsewhere_only_while_another_batch_has_it() -> None:
    in_flight, key, other = InFlightKeys(), (uuid4(), "k"), (uuid4(), "k")
    with in_flight.track({key}) as elsewhere:
        assert not elsewhere(key)
        assert not elsewhere(None)
        with in_flight.track({key, other}) as from_the_second:
            assert elsewhere(key)
            assert from_the_second(key)
            assert not from_the_second(other)
        assert not elsewhere(key)
