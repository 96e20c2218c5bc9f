"""The catalog's gRPC service: each call is one use case."""

# ruff: noqa: N802 - the proto names the methods
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceServicer
from goticket_platform.retry import RetryPolicy, retry

from catalog.application.batch_get_events import batch_get_events
from catalog.application.cancel_event import cancel_event
from catalog.application.change_event import ChangeEventCommand
from catalog.application.create_event import create_event
from catalog.application.get_event import get_event
from catalog.application.list_events import list_events
from catalog.application.ports import Clock, EventRepository, Inventory, NewId
from catalog.application.update_event import update_event
from catalog.domain.errors import EventBusy, StaleVersion
from catalog.domain.event import Event
from catalog.entrypoints.field_names import with_json_field_names
from catalog.entrypoints.requests import (
    parse_actor,
    parse_change,
    parse_create_event,
    parse_event_id,
    parse_event_ids,
    parse_page_request,
    parse_patch,
)
from catalog.entrypoints.responses import event_to_proto

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["CatalogService"].full_name
CONFLICT_RETRY = RetryPolicy(first_wait=0.01, longest_wait=0.02, max_attempts=20)
"""Attempts of a change without an expected version while other changes come first."""


@dataclass(frozen=True)
class CatalogService(CatalogServiceServicer):
    """Translates between protobuf and the use cases. The server maps errors by grpc_errors."""

    events: EventRepository
    inventory: Inventory
    clock: Clock
    new_id: NewId

    @with_json_field_names
    async def CreateEvent(
        self, request: pb.CreateEventRequest, context: object
    ) -> pb.CreateEventResponse:
        """Create an event."""
        event = await create_event(
            parse_create_event(request),
            parse_actor(request.actor),
            events=self.events,
            clock=self.clock,
            new_id=self.new_id,
        )
        return pb.CreateEventResponse(event=event_to_proto(event))

    async def GetEvent(self, request: pb.GetEventRequest, context: object) -> pb.GetEventResponse:
        """Read one event."""
        event = await get_event(
            parse_event_id(request.event_id),
            parse_actor(request.actor),
            include_drafts=request.include_drafts,
            events=self.events,
        )
        return pb.GetEventResponse(event=event_to_proto(event))

    @with_json_field_names
    async def BatchGetEvents(
        self, request: pb.BatchGetEventsRequest, context: object
    ) -> pb.BatchGetEventsResponse:
        """Read many events at once."""
        found = await batch_get_events(
            parse_event_ids(request.event_ids),
            public_only=request.public_only,
            events=self.events,
        )
        return pb.BatchGetEventsResponse(events=map(event_to_proto, found))

    @with_json_field_names
    async def ListEvents(
        self, request: pb.ListEventsRequest, context: object
    ) -> pb.ListEventsResponse:
        """Read one page of a list of events."""
        page = await list_events(
            parse_page_request(request, self.clock()),
            parse_actor(request.actor),
            events=self.events,
        )
        return pb.ListEventsResponse(
            events=map(event_to_proto, page.events), next_cursor=page.next_cursor
        )

    @with_json_field_names
    async def UpdateEvent(
        self, request: pb.UpdateEventRequest, context: object
    ) -> pb.UpdateEventResponse:
        """Change some fields of an event; status PUBLISHED publishes a draft."""
        command, patch = parse_change(request), parse_patch(request)
        event = await retry_conflicts(
            command,
            lambda: update_event(
                command,
                patch,
                events=self.events,
                inventory=self.inventory,
                clock=self.clock,
                new_id=self.new_id,
            ),
        )
        return pb.UpdateEventResponse(event=event_to_proto(event))

    async def CancelEvent(
        self, request: pb.CancelEventRequest, context: object
    ) -> pb.CancelEventResponse:
        """Cancel an event permanently."""
        command = parse_change(request)
        event = await retry_conflicts(
            command,
            lambda: cancel_event(
                command,
                events=self.events,
                inventory=self.inventory,
                clock=self.clock,
            ),
        )
        return pb.CancelEventResponse(event=event_to_proto(event))


async def retry_conflicts(
    command: ChangeEventCommand, change: Callable[[], Awaitable[Event]]
) -> Event:
    """Change an event; without an expected version, try again when another change came first.

    Raises:
        EventBusy: no version was expected, and other changes came first in every attempt.
    """
    if command.expected_version is not None:
        return await change()
    try:
        return await retry(change, CONFLICT_RETRY, lambda error: isinstance(error, StaleVersion))
    except StaleVersion as error:
        raise EventBusy from error
