"""The catalog's gRPC service: each call is one use case."""

from dataclasses import dataclass

from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceServicer

from catalog.application.batch_get_events import batch_get_events
from catalog.application.cancel_event import cancel_event
from catalog.application.create_event import create_event
from catalog.application.get_event import get_event
from catalog.application.list_events import list_events
from catalog.application.ports import Clock, Events, NewId, Stock
from catalog.application.publish_event import publish_event
from catalog.application.update_event import update_event
from catalog.entrypoints.requests import (
    actor_of,
    change_request_of,
    edit_of,
    listing_of,
    new_event_of,
)
from catalog.wire import event_to_proto

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["CatalogService"].full_name


@dataclass(frozen=True)
class CatalogService(CatalogServiceServicer):
    """Translates between protobuf and the use cases; errors are mapped by grpc_errors."""

    events: Events
    stock: Stock
    clock: Clock
    new_id: NewId

    async def CreateEvent(  # noqa: N802 - named by the proto
        self, request: pb.CreateEventRequest, context: object
    ) -> pb.CreateEventResponse:
        """Create an event."""
        event = await create_event(
            new_event_of(request),
            actor_of(request, request.actor),
            events=self.events,
            clock=self.clock,
            new_id=self.new_id,
        )
        return pb.CreateEventResponse(event=event_to_proto(event))

    async def GetEvent(  # noqa: N802 - named by the proto
        self, request: pb.GetEventRequest, context: object
    ) -> pb.GetEventResponse:
        """Read one event."""
        event = await get_event(
            request.event_id,
            actor_of(request, request.actor),
            include_drafts=request.include_drafts,
            events=self.events,
        )
        return pb.GetEventResponse(event=event_to_proto(event))

    async def BatchGetEvents(  # noqa: N802 - named by the proto
        self, request: pb.BatchGetEventsRequest, context: object
    ) -> pb.BatchGetEventsResponse:
        """Read many events at once."""
        found = await batch_get_events(request.event_ids, events=self.events)
        return pb.BatchGetEventsResponse(events=map(event_to_proto, found))

    async def ListEvents(  # noqa: N802 - named by the proto
        self, request: pb.ListEventsRequest, context: object
    ) -> pb.ListEventsResponse:
        """Page through events."""
        page = await list_events(
            listing_of(request), actor_of(request, request.actor), events=self.events
        )
        return pb.ListEventsResponse(
            events=map(event_to_proto, page.events), next_cursor=page.next_cursor
        )

    async def UpdateEvent(  # noqa: N802 - named by the proto
        self, request: pb.UpdateEventRequest, context: object
    ) -> pb.UpdateEventResponse:
        """Change some fields of an event."""
        event = await update_event(
            change_request_of(request),
            edit_of(request),
            events=self.events,
            stock=self.stock,
            clock=self.clock,
            new_id=self.new_id,
        )
        return pb.UpdateEventResponse(event=event_to_proto(event))

    async def PublishEvent(  # noqa: N802 - named by the proto
        self, request: pb.PublishEventRequest, context: object
    ) -> pb.PublishEventResponse:
        """Put a draft on sale."""
        event = await publish_event(
            change_request_of(request), events=self.events, stock=self.stock, clock=self.clock
        )
        return pb.PublishEventResponse(event=event_to_proto(event))

    async def CancelEvent(  # noqa: N802 - named by the proto
        self, request: pb.CancelEventRequest, context: object
    ) -> pb.CancelEventResponse:
        """Call an event off."""
        event = await cancel_event(
            change_request_of(request), events=self.events, stock=self.stock, clock=self.clock
        )
        return pb.CancelEventResponse(event=event_to_proto(event))
