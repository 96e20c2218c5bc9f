"""The JSON of events is what the models write, byte by byte."""

import pytest
from gateway.cache.availability_reader import Availability
from gateway.rest.events.rendering import (
    availability_json,
    content_etag,
    event_etag,
    event_json,
    event_page_json,
)
from gateway.rest.events.schemas import AvailabilityOut, EventOut, EventPage, EventStatus
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import catalog_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(max_size=20)
AMOUNT = st.integers(0, 2**53)
STAMP = st.builds(
    Timestamp,
    seconds=st.integers(0, 4_000_000_000),
    nanos=st.integers(0, 999_999).map(lambda micros: micros * 1000),
)
TYPE = st.builds(
    pb.TicketType,
    id=st.sampled_from(["a", "b", "c"]),
    name=TEXT,
    price=AMOUNT,
    capacity=AMOUNT,
    max_per_booking=st.integers(0, 2**31 - 1),
    max_per_buyer=st.integers(0, 2**31 - 1),
)
EVENT = st.builds(
    pb.Event,
    id=TEXT,
    organizer_id=TEXT,
    name=TEXT,
    description=TEXT,
    location=TEXT,
    currency=TEXT,
    timezone=TEXT,
    starts_at=STAMP,
    ends_at=STAMP,
    status=st.sampled_from([status.message for status in EventStatus]),
    version=st.integers(0, 2**62),
    ticket_types=st.lists(TYPE, max_size=3),
    max_per_buyer=st.integers(0, 2**31 - 1),
)
AVAILABILITY = st.builds(Availability, st.dictionaries(st.sampled_from(["a", "b"]), AMOUNT))


@given(EVENT, st.none() | AVAILABILITY)
def test_an_event_is_what_the_model_writes(
    event: pb.Event, availability: Availability | None
) -> None:
    written = EventOut.of(event, availability).model_dump_json(by_alias=True)
    assert event_json(event, availability) == written.encode()


@given(st.lists(EVENT, max_size=3), AVAILABILITY, TEXT)
def test_a_page_is_what_the_model_writes(
    events: list[pb.Event], availability: Availability, cursor: str
) -> None:
    known = {events[0].id: availability} if events else {}
    page = EventPage(
        items=[EventOut.of(event, known.get(event.id)) for event in events],
        next_cursor=cursor or None,
    )
    message = pb.ListEventsResponse(events=events, next_cursor=cursor)
    assert event_page_json(message, known) == page.model_dump_json(by_alias=True).encode()


@given(TEXT, AVAILABILITY)
def test_availability_is_what_the_model_writes(event_id: str, availability: Availability) -> None:
    written = AvailabilityOut.of(event_id, availability).model_dump_json(by_alias=True)
    assert availability_json(event_id, availability) == written.encode()


def test_a_status_that_the_api_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError):
        event_json(pb.Event(status=pb.EVENT_STATUS_UNSPECIFIED), None)


def test_an_etag_changes_with_the_version_and_with_the_availability() -> None:
    tags = {
        event_etag(pb.Event(version=version), availability)
        for version in (1, 2)
        for availability in (None, Availability({}), Availability({"a": 1}), Availability({"a": 2}))
    }
    assert len(tags) == 8
    assert content_etag(b"a") != content_etag(b"b")
