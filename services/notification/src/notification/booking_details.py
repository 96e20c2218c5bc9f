"""Reads bookings with recipient, names and ticket codes from the booking service."""

import asyncio
from typing import NamedTuple
from uuid import UUID

import grpc
from aiodataloader import DataLoader
from goticket.booking.v1.notification_data_pb2 import (
    BatchGetBookingDetailsRequest,
    BookingDetails,
    BookingReference,
)
from goticket.booking.v1.notification_data_pb2_grpc import NotificationDataServiceStub
from goticket_platform.messaging.consumer import RetryableError
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Histogram

MAX_BATCH_SIZE = 200
"""Most bookings in one call, as the service allows."""

BATCH_SIZE = Histogram(
    "goticket_notification_details_batch_size",
    "Bookings read in one call to the booking service",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, MAX_BATCH_SIZE),
)

# Faults of the message or of this one booking. Any other status is an outage or a wrong
# configuration, and no reason to dead-letter the message.
MESSAGE_FAULTS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}


class BookingServiceUnavailable(RetryableError):
    """The booking service is unavailable. The message itself may be valid."""


class BookingNotFound(Exception):
    """The booking service does not know the booking.

    It is retried while there are attempts, because a replica may lag behind the message.
    """


class BookingKey(NamedTuple):
    """Identifies a booking."""

    event_id: UUID
    booking_id: UUID


class BookingDetailsClient:
    """Reads bookings in batches: calls to `get` in one turn of the event loop share an RPC."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._batch_get = NotificationDataServiceStub(channel).BatchGetBookingDetails
        self._authorization = ("authorization", f"Bearer {token}")
        # Nothing is cached: an e-mail shows the booking as it is when it is sent.
        self._loader: DataLoader[BookingKey, BookingDetails | Exception] = DataLoader(
            self._load, max_batch_size=MAX_BATCH_SIZE, cache=False
        )

    async def get(self, key: BookingKey) -> BookingDetails:
        """Return the booking as it is now.

        Raises:
            BookingServiceUnavailable: the service did not answer, or denied access.
            BookingNotFound: the service does not know the booking.
            RemoteError: the service failed on the request.
        """
        details = await self._loader.load(key)
        assert isinstance(details, BookingDetails)  # noqa: S101 - the loader raises exceptions
        return details

    async def _load(self, keys: list[BookingKey]) -> list[BookingDetails | Exception]:
        BATCH_SIZE.observe(len(keys))
        request = BatchGetBookingDetailsRequest(
            bookings=[
                BookingReference(event_id=str(key.event_id), booking_id=str(key.booking_id))
                for key in dict.fromkeys(keys)
            ]
        )
        try:
            response = await call(
                self._batch_get, request, idempotent=True, metadata=[self._authorization]
            )
        except RemoteError as error:
            if error.status in MESSAGE_FAULTS:
                if len(request.bookings) == 1:
                    raise
                return await self._load_separately(keys)
            raise BookingServiceUnavailable(f"{error.code}: {error.message}") from error
        found = {UUID(details.booking.id): details for details in response.bookings}
        return [
            found.get(key.booking_id) or BookingNotFound(f"booking {key.booking_id} is unknown")
            for key in keys
        ]

    async def _load_separately(self, keys: list[BookingKey]) -> list[BookingDetails | Exception]:
        """Load each booking alone, so that one that cannot be read fails no other."""
        loaded = await asyncio.gather(*(self._load([key]) for key in keys), return_exceptions=True)
        results: list[BookingDetails | Exception] = []
        for each in loaded:
            if isinstance(each, Exception):
                results.append(each)
            elif isinstance(each, BaseException):
                raise each
            else:
                results += each
        return results
