"""What is sold out is refused from memory, for a moment and never by mistake."""

from collections.abc import Callable

import grpc
import httpx
import pytest
from gateway.booking_submission.sold_out_cache import (
    ONLY,
    REMEMBER_SECONDS,
    REMEMBERED,
    SoldOutCache,
)
from goticket.booking.v1 import booking_pb2 as pb
from goticket_testing.scripted import Refusal, ScriptedBackends

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
OTHER_EVENT = "0197c0de-7a11-7b00-8a00-0000000000e2"
TYPE = "0197c0de-7a11-7b00-8a00-0000000000a1"
OTHER_TYPE = "0197c0de-7a11-7b00-8a00-0000000000a2"
URL = f"/api/v1/events/{EVENT}/bookings"

Bearer = Callable[..., dict[str, str]]


class Told(Refusal):
    """A refusal with further facts."""

    def __init__(self, status: grpc.StatusCode, code: str, metadata: dict[str, str]) -> None:
        super().__init__(status, code)
        self.metadata = metadata


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> SoldOutCache:
    return SoldOutCache(clock)


def wish(*types: str, event: str = EVENT, key: str = "") -> pb.CreateBookingRequest:
    lines = [pb.BookingLine(ticket_type_id=kind, quantity=1) for kind in types or (TYPE,)]
    return pb.CreateBookingRequest(event_id=event, lines=lines, idempotency_key=key)


NONE_LEFT = {"ticketTypeId": TYPE, "available": "0"}


def test_nothing_is_refused_that_nobody_called_sold_out(memory: SoldOutCache) -> None:
    assert not memory.refuses(wish())


def test_an_answer_is_remembered_for_its_ticket_type_alone(memory: SoldOutCache) -> None:
    memory.learn(wish(TYPE, OTHER_TYPE), NONE_LEFT)
    assert memory.refuses(wish())
    assert memory.refuses(wish(OTHER_TYPE, TYPE))
    assert not memory.refuses(wish(OTHER_TYPE))
    assert not memory.refuses(wish(ONLY))
    assert not memory.refuses(wish(event=OTHER_EVENT))


def test_the_only_type_of_an_event_needs_no_name(memory: SoldOutCache) -> None:
    memory.learn(wish(ONLY), NONE_LEFT)
    assert memory.refuses(wish(ONLY))
    assert memory.refuses(wish(TYPE))
    memory.hear(EVENT, TYPE, available=1, version=2)
    assert not memory.refuses(wish(ONLY))
    assert not memory.refuses(wish(TYPE))


@pytest.mark.parametrize(
    "metadata", [{}, {"ticketTypeId": TYPE}, {"available": "0"}, {**NONE_LEFT, "available": "3"}]
)
def test_who_wanted_more_than_is_left_closes_it_for_nobody(
    memory: SoldOutCache, metadata: dict[str, str]
) -> None:
    memory.learn(wish(), metadata)
    assert not memory.refuses(wish())


def test_it_is_forgotten_unless_booking_says_so_again(memory: SoldOutCache, clock: Clock) -> None:
    memory.learn(wish(), NONE_LEFT)
    clock.now += REMEMBER_SECONDS * 0.9
    memory.learn(wish(), NONE_LEFT)
    clock.now += REMEMBER_SECONDS * 0.9
    assert memory.refuses(wish())
    clock.now += REMEMBER_SECONDS * 0.1
    assert not memory.refuses(wish())


def test_a_notice_closes_and_opens(memory: SoldOutCache) -> None:
    memory.hear(EVENT, TYPE, available=0, version=7)
    assert memory.refuses(wish())
    memory.hear(EVENT, TYPE, available=2, version=8)
    assert not memory.refuses(wish())


def test_a_notice_that_comes_late_changes_nothing(memory: SoldOutCache) -> None:
    memory.hear(EVENT, TYPE, available=2, version=8)
    memory.hear(EVENT, TYPE, available=0, version=7)
    assert not memory.refuses(wish())


def test_a_request_under_a_key_may_be_a_repeat_and_is_never_refused(memory: SoldOutCache) -> None:
    memory.learn(wish(), NONE_LEFT)
    assert not memory.refuses(wish(key="order-17"))


def test_the_memory_is_bounded(memory: SoldOutCache) -> None:
    for number in range(REMEMBERED + 5):
        memory.hear(EVENT, f"type-{number}", available=0, version=1)
    assert len(memory._notices) == REMEMBERED


def test_memory_tells_which_type_is_sold_out_as_booking_would(memory: SoldOutCache) -> None:
    memory.learn(wish(TYPE, OTHER_TYPE), {**NONE_LEFT, "ticketTypeId": OTHER_TYPE})
    assert memory.facts(wish(TYPE, OTHER_TYPE)) == {"ticketTypeId": OTHER_TYPE, "available": 0}
    memory.learn(wish(ONLY), NONE_LEFT)
    assert memory.facts(wish(ONLY)) == {"available": 0}


async def test_a_crowd_turned_away_costs_one_call(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    backends.answers["CreateBooking"] = Told(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "sold_out", NONE_LEFT
    )
    for _ in range(3):
        answer = await client.post(URL, json={"quantity": 1}, headers=bearer())
        assert (answer.status_code, answer.json()["error"]) == (409, "sold_out")
        assert answer.json()["available"] == 0
    assert len(backends.requests["CreateBooking"]) == 1
    # A repeat of what was granted before gets its first answer.
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking, replayed=True)
    headers = bearer() | {"Idempotency-Key": "order-17"}
    answer = await client.post(URL, json={"quantity": 1}, headers=headers)
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    for headers, body, status in (
        ({}, {"quantity": 1}, 401),
        (bearer(), {"quantity": 0}, 422),
    ):
        assert (await client.post(URL, json=body, headers=headers)).status_code == status


async def test_a_service_says_how_long_to_wait(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["CreateBooking"] = Told(
        grpc.StatusCode.UNAVAILABLE, "busy", {"retryAfter": "7"}
    )
    answer = await client.post(URL, json={"quantity": 1}, headers=bearer())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
