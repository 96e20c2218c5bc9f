"""The catalog over gRPC, and its events as values of the domain."""

from collections.abc import Collection
from datetime import UTC
from uuid import UUID

import grpc
from goticket.catalog.v1 import catalog_pb2, events_pb2
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from goticket_platform.ids import parse_id
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError

from booking.domain.errors import CatalogUnavailable
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer

_RPC_STATUS = {
    catalog_pb2.EVENT_STATUS_DRAFT: EventStatus.DRAFT,
    catalog_pb2.EVENT_STATUS_PUBLISHED: EventStatus.PUBLISHED,
    catalog_pb2.EVENT_STATUS_CANCELLED: EventStatus.CANCELLED,
}
_STATE_STATUS = {
    events_pb2.EventState.STATUS_DRAFT: EventStatus.DRAFT,
    events_pb2.EventState.STATUS_PUBLISHED: EventStatus.PUBLISHED,
    events_pb2.EventState.STATUS_CANCELLED: EventStatus.CANCELLED,
}


class CatalogClient:
    """Implements the port `Catalog`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = CatalogServiceStub(channel)

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        """See the port."""
        request = catalog_pb2.BatchGetEventsRequest(event_ids=map(str, event_ids))
        try:
            response = await call(self._stub.BatchGetEvents, request, idempotent=True)
        except RemoteError as error:
            raise CatalogUnavailable from error
        return [event_of_rpc(message) for message in response.events]


def event_of_rpc(message: catalog_pb2.Event) -> CatalogEvent:
    """Read an event from a response of the catalog's RPCs.

    Raises:
        ValueError, KeyError: the message breaks the catalog's contract.
    """
    return _catalog_event(message, _RPC_STATUS[message.status])


def event_of_state(message: events_pb2.EventState) -> CatalogEvent:
    """Read an event from the payload of the catalog's integration events.

    Raises:
        ValueError, KeyError: the message breaks the catalog's contract.
    """
    return _catalog_event(message, _STATE_STATUS[message.status])


def _catalog_event(
    message: catalog_pb2.Event | events_pb2.EventState, status: EventStatus
) -> CatalogEvent:
    event = Event(
        id=parse_id(message.id),
        organizer_id=parse_id(message.organizer_id),
        name=message.name,
        location=message.location,
        timezone=message.timezone,
        starts_at=message.starts_at.ToDatetime(UTC),
        ends_at=message.ends_at.ToDatetime(UTC),
        currency=message.currency,
        status=status,
        version=message.version,
        max_per_buyer=message.max_per_buyer,
    )
    offers = tuple(
        TicketTypeOffer(
            id=parse_id(kind.id),
            name=kind.name,
            price=kind.price,
            capacity=kind.capacity,
            max_per_booking=kind.max_per_booking,
            max_per_buyer=kind.max_per_buyer,
        )
        for kind in message.ticket_types
    )
    return CatalogEvent(event, offers)
