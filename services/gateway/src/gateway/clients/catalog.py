"""Calls to the catalog: events and their ticket types."""

from collections.abc import Sequence

import grpc
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.rpc.client import READ_SECONDS, WRITE_SECONDS, call


class CatalogClient:
    """Every method raises RemoteError when the catalog rejects the call or is unavailable."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._stub = CatalogServiceStub(channel)

    async def create(self, request: pb.CreateEventRequest) -> pb.Event:
        """Create an event. Never retried: a second try could make a second event."""
        return (await call(self._stub.CreateEvent, request, timeout=WRITE_SECONDS)).event

    async def get(self, event_id: str, actor: Actor | None) -> pb.Event:
        """Read an event as `actor` may see it."""
        request = pb.GetEventRequest(event_id=event_id, actor=actor)
        return (
            await call(self._stub.GetEvent, request, timeout=READ_SECONDS, idempotent=True)
        ).event

    async def get_public(self, event_ids: Sequence[str]) -> Sequence[pb.Event]:
        """Read at most 200 public events; unknown ids and private events are left out."""
        request = pb.BatchGetEventsRequest(event_ids=event_ids, public_only=True)
        return (
            await call(self._stub.BatchGetEvents, request, timeout=READ_SECONDS, idempotent=True)
        ).events

    async def list_page(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        """Read a page of events."""
        return await call(self._stub.ListEvents, request, timeout=READ_SECONDS, idempotent=True)

    async def update(self, request: pb.UpdateEventRequest) -> pb.Event:
        """Change an event."""
        return (await call(self._stub.UpdateEvent, request, timeout=WRITE_SECONDS)).event

    async def cancel(self, event_id: str, actor: Actor, expected_version: int | None) -> pb.Event:
        """Cancel an event."""
        request = pb.CancelEventRequest(
            event_id=event_id, actor=actor, expected_version=expected_version
        )
        return (await call(self._stub.CancelEvent, request, timeout=WRITE_SECONDS)).event
