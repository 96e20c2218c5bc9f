"""The catalog over gRPC, and its messages as values of the domain."""

from collections.abc import Collection
from datetime import UTC
from uuid import UUID

import grpc
from goticket.catalog.v1 import catalog_pb2
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError

from booking.domain.errors import CatalogUnavailable
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer

_STATUS = {
    catalog_pb2.EVENT_STATUS_DRAFT: EventStatus.DRAFT,
    catalog_pb2.EVENT_STATUS_PUBLISHED: EventStatus.PUBLISHED,
    catalog_pb2.EVENT_STATUS_CANCELLED: EventStatus.CANCELLED,
}


class CatalogClient:
    """What the port `Catalog` asks for."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = CatalogServiceStub(channel)

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        """See the port."""
        request = catalog_pb2.BatchGetEventsRequest(event_ids=map(str, event_ids))
        try:
            answer = await call(self._stub.BatchGetEvents, request, idempotent=True)
        except RemoteError as error:
            raise CatalogUnavailable from error
        return [catalog_event_of(message) for message in answer.events]


def catalog_event_of(message: catalog_pb2.Event) -> CatalogEvent:
    """Read the catalog's message.

    Raises:
        ValueError, KeyError: it breaks the catalog's own contract.
    """
    event = Event(
        id=UUID(message.id),
        organizer_id=UUID(message.organizer_id),
        name=message.name,
        location=message.location,
        timezone=message.timezone,
        starts_at=message.starts_at.ToDatetime(UTC),
        ends_at=message.ends_at.ToDatetime(UTC),
        currency=message.currency,
        status=_STATUS[message.status],
        version=message.version,
        max_per_buyer=message.max_per_buyer,
    )
    offers = tuple(
        TicketTypeOffer(
            id=UUID(kind.id),
            name=kind.name,
            price=kind.price,
            capacity=kind.capacity,
            max_per_booking=kind.max_per_booking,
            max_per_buyer=kind.max_per_buyer,
        )
        for kind in message.ticket_types
    )
    return CatalogEvent(event, offers)
