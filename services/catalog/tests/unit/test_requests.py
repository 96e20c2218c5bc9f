"""Parsing of protobuf requests, and the field names of errors."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from catalog.domain.errors import EventNotFound, InvalidQuery
from catalog.entrypoints.field_names import json_path
from catalog.entrypoints.requests import (
    parse_actor,
    parse_event_id,
    parse_event_ids,
    parse_page_request,
    parse_patch,
)
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.common.v1 import common_pb2
from goticket_kernel.actor import ANONYMOUS, Actor

ID = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")


@pytest.mark.parametrize("text", ["", "7", "not-a-uuid", "\x00", str(ID).replace("-", "")])
def test_an_event_id_that_is_no_uuid_is_not_found(text: str) -> None:
    with pytest.raises(EventNotFound):
        parse_event_id(text)


def test_an_event_id_may_have_capital_letters() -> None:
    assert parse_event_id(str(ID).upper()) == ID


def test_a_batch_leaves_out_ids_that_are_no_uuids() -> None:
    assert parse_event_ids([str(ID), "junk", ""]) == [ID]


@pytest.mark.parametrize("user_id", ["", "nobody", str(UUID(int=0))])
def test_an_actor_without_a_user_id_is_anonymous(user_id: str) -> None:
    actor = parse_actor(common_pb2.Actor(user_id=user_id, roles=["admin"]))
    assert actor.is_anonymous
    assert not actor.is_admin


def test_an_actor_has_its_user_id_and_roles() -> None:
    actor = parse_actor(common_pb2.Actor(user_id=str(ID), roles=["user", "organizer"]))
    assert actor == Actor(ID, frozenset({"user", "organizer"}))
    assert parse_actor(pb.GetEventRequest().actor) == ANONYMOUS


def test_a_ticket_type_id_that_is_no_uuid_is_left_to_the_domain() -> None:
    drafts = [pb.TicketTypeDraft(name="A"), pb.TicketTypeDraft(name="B", id="junk")]
    patch = parse_patch(pb.UpdateEventRequest(ticket_types=pb.TicketTypeDrafts(items=drafts)))
    assert patch.ticket_types is not None
    assert [draft.id for draft in patch.ticket_types] == [None, UUID(int=0)]


def test_an_organizer_id_that_is_no_uuid_is_an_invalid_query() -> None:
    with pytest.raises(InvalidQuery) as error:
        parse_page_request(pb.ListEventsRequest(organizer_id="junk"), datetime.now(UTC))
    assert [invalid.field for invalid in error.value.fields] == ["organizer_id"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("starts_at", "startAt"),
        ("ends_at", "endAt"),
        ("query", "q"),
        ("name", "name"),
        ("ticket_types", "ticketTypes"),
        ("ticket_types[12].max_per_buyer", "ticketTypes[12].maxPerBuyer"),
        ("ticket_types[0].max_per_booking", "ticketTypes[0].maxPerBooking"),
    ],
)
def test_field_paths_are_translated_to_the_public_json(path: str, expected: str) -> None:
    assert json_path(path) == expected
