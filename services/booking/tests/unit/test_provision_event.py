"""Asking the catalog: once for a crowd, whatever happens to one of them."""

import asyncio
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from uuid import UUID, uuid4

import pytest
from booking.application.ports import BookingOfEvent, Transaction
from booking.application.commands.provision_event import ProvisionEvent
from booking.application.in_flight_keys import InFlightKeys
from booking.domain.errors import CatalogUnavailable
from booking.domain.event import CatalogEvent


class SlowCatalog:
    """Answers when the test lets it; knows no event."""

    def __init__(self) -> None:
        self.asked: list[UUID] = []
        self.answer = asyncio.Event()
        self.down = False

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        self.asked += event_ids
        await self.answer.wait()
        if self.down:
            raise CatalogUnavailable
        return []


class NoBookings:
    """Is never needed: nothing is found."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise NotImplementedError

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        raise NotImplementedError


async def asked_by(provision: ProvisionEvent, event_id: UUID) -> "asyncio.Task[bool]":
    task = asyncio.create_task(provision(event_id))
    await asyncio.sleep(0)
    return task


async def test_a_crowd_asks_once_and_a_leaver_takes_nobody_along() -> None:
    catalog, event_id = SlowCatalog(), uuid4()
    provision = ProvisionEvent(catalog, NoBookings())
    first, second, third = [await asked_by(provision, event_id) for _ in range(3)]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    catalog.answer.set()
    assert [await second, await third] == [False, False]
    assert catalog.asked == [event_id]
    assert await provision(event_id) is False
    assert catalog.asked == [event_id, event_id]


async def test_everybody_hears_that_the_catalog_is_down_and_may_ask_again() -> None:
    catalog, event_id = SlowCatalog(), uuid4()
    catalog.down = True
    catalog.answer.set()
    provision = ProvisionEvent(catalog, NoBookings())
    for task in [await asked_by(provision, event_id) for _ in range(2)]:
        with pytest.raises(CatalogUnavailable):
            await task
    catalog.down = False
    assert await provision(event_id) is False


def test_a_key_is_running_elsewhere_only_while_another_batch_has_it() -> None:
    running, key, other = InFlightKeys(), (uuid4(), "k"), (uuid4(), "k")
    with running.run({key}) as elsewhere:
        assert not elsewhere(key)
        assert not elsewhere(None)
        with running.run({key, other}) as from_the_second:
            assert elsewhere(key)
            assert from_the_second(key)
            assert not from_the_second(other)
        assert not elsewhere(key)
