"""Integration events of the catalog."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from catalog.adapters.event_messages import outbox_message
from catalog.domain.event import (
    Event,
    EventCancelled,
    EventChange,
    EventDetails,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import events_pb2 as pb
from goticket_contracts.event_types import PAYLOADS

START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
EVENT = Event(
    id=UUID(int=1),
    organizer_id=UUID(int=2),
    details=EventDetails(
        name="Metallica Live",
        description="Two sets.",
        location="Kraków",
        currency="PLN",
        timezone="Europe/Warsaw",
        starts_at=START,
        ends_at=START + timedelta(hours=3),
        max_per_buyer=6,
    ),
    ticket_types=(
        TicketType(UUID(int=3), "Standing", 5000, 100, 10, 4),
        TicketType(UUID(int=4), "Seated", 9000, 50, 8),
    ),
    status=EventStatus.PUBLISHED,
    version=7,
    created_at=START - timedelta(days=3),
    updated_at=START - timedelta(days=2),
    published_at=START - timedelta(days=2),
)


def test_a_message_has_the_whole_event_after_the_change() -> None:
    message = outbox_message(EventUpdated(EVENT))
    expected = pb.EventState(
        id=str(EVENT.id),
        organizer_id=str(EVENT.organizer_id),
        name="Metallica Live",
        description="Two sets.",
        location="Kraków",
        currency="PLN",
        timezone="Europe/Warsaw",
        starts_at=Timestamp(seconds=int(START.timestamp())),
        ends_at=Timestamp(seconds=int(START.timestamp()) + 3 * 3600),
        status=pb.EventState.STATUS_PUBLISHED,
        version=7,
        ticket_types=[
            pb.TicketTypeState(
                id=str(UUID(int=3)),
                name="Standing",
                price=5000,
                capacity=100,
                max_per_booking=10,
                max_per_buyer=4,
            ),
            pb.TicketTypeState(
                id=str(UUID(int=4)), name="Seated", price=9000, capacity=50, max_per_booking=8
            ),
        ],
        max_per_buyer=6,
    )
    assert message.payload == pb.EventUpdated(event=expected)
    assert (message.aggregate_id, message.partition_id) == (EVENT.id, EVENT.id)
    assert (message.aggregate_version, message.occurred_at) == (7, EVENT.updated_at)


@pytest.mark.parametrize(
    ("change", "type_"),
    [
        (EventPublished(EVENT), "goticket.catalog.event.published.v1"),
        (EventUpdated(EVENT), "goticket.catalog.event.updated.v1"),
        (EventCancelled(EVENT), "goticket.catalog.event.cancelled.v1"),
    ],
)
def test_each_change_has_its_own_type_and_payload(change: EventChange, type_: str) -> None:
    message = outbox_message(change)
    assert message.type == type_
    assert type(message.payload) is PAYLOADS[type_]


@pytest.mark.parametrize("status", EventStatus)
def test_every_status_is_mapped(status: EventStatus) -> None:
    payload = outbox_message(EventUpdated(replace(EVENT, status=status))).payload
    assert isinstance(payload, pb.EventUpdated)
    assert pb.EventState.Status.Name(payload.event.status) == f"STATUS_{status.name}"
