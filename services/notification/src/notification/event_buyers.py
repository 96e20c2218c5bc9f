"""Reads the buyers of an event, and their bookings, from the booking service."""

import asyncio
from typing import NamedTuple
from uuid import UUID

import grpc
from aiodataloader import DataLoader
from goticket.booking.v1.notification_data_pb2 import (
    BatchGetBuyerBookingsRequest,
    BookingDetails,
    BuyerReference,
    ListConfirmedBookingsRequest,
)
from goticket.booking.v1.notification_data_pb2_grpc import NotificationDataServiceStub
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError

from notification.booking_details import (
    MAX_BATCH_SIZE,
    MESSAGE_FAULTS,
    BookingServiceUnavailable,
)
from notification.event_changes import Announcement, BuyerPage


class EventBuyer(NamedTuple):
    """Identifies a buyer of an event."""

    event_id: UUID
    buyer_id: UUID


class EventBuyersClient:
    """Reads buyers page by page, and bookings in batches, as they are now."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub = NotificationDataServiceStub(channel)
        self._list = stub.ListConfirmedBookings
        self._batch_get = stub.BatchGetBuyerBookings
        self._metadata = [("authorization", f"Bearer {token}")]
        self._loader: DataLoader[EventBuyer, list[BookingDetails] | Exception] = DataLoader(
            self._load, max_batch_size=MAX_BATCH_SIZE, cache=False
        )

    async def page(self, announcement: Announcement, limit: int) -> BuyerPage | None:
        """Return the next buyers; None while the booking service has an older version.

        Once it has the announced version, e-mails about new bookings show it. So bookings that
        are confirmed behind the position need no delivery.

        Raises:
            BookingServiceUnavailable: the service did not answer, or failed.
        """
        request = ListConfirmedBookingsRequest(
            event_id=str(announcement.event_id),
            after_booking_id=str(announcement.after_booking_id),
            limit=limit,
        )
        try:
            response = await call(self._list, request, idempotent=True, metadata=self._metadata)
        except RemoteError as error:
            raise BookingServiceUnavailable(f"{error.code}: {error.message}") from error
        if response.event_version < announcement.version:
            return None
        found = response.bookings
        return BuyerPage(
            buyer_ids=[UUID(text) for text in dict.fromkeys(each.user_id for each in found)],
            last_booking_id=UUID(found[-1].booking_id) if found else announcement.after_booking_id,
            is_last=len(found) < limit,
        )

    async def bookings(self, buyer: EventBuyer) -> list[BookingDetails]:
        """Return all confirmed bookings of a buyer for an event, as they are now.

        Raises:
            BookingServiceUnavailable: the service did not answer, or denied access.
            RemoteError: the service failed on the request.
        """
        found = await self._loader.load(buyer)
        assert isinstance(found, list)  # noqa: S101 - the loader raises exceptions
        return found

    async def _load(self, buyers: list[EventBuyer]) -> list[list[BookingDetails] | Exception]:
        request = BatchGetBuyerBookingsRequest(
            buyers=[
                BuyerReference(event_id=str(buyer.event_id), user_id=str(buyer.buyer_id))
                for buyer in dict.fromkeys(buyers)
            ]
        )
        try:
            response = await call(
                self._batch_get, request, idempotent=True, metadata=self._metadata
            )
        except RemoteError as error:
            if error.status in MESSAGE_FAULTS:
                if len(request.buyers) == 1:
                    return [error] * len(buyers)
                return await self._load_separately(buyers)
            raise BookingServiceUnavailable(f"{error.code}: {error.message}") from error
        found: dict[EventBuyer, list[BookingDetails]] = {buyer: [] for buyer in buyers}
        for details in response.bookings:
            booking = details.booking
            found[EventBuyer(UUID(booking.event_id), UUID(booking.user_id))].append(details)
        return [found[buyer] for buyer in buyers]

    async def _load_separately(
        self, buyers: list[EventBuyer]
    ) -> list[list[BookingDetails] | Exception]:
        """Load each buyer alone, so that one whose bookings cannot be read fails no other."""
        loaded = await asyncio.gather(*(self._load([buyer]) for buyer in buyers))
        return [result for [result] in loaded]
