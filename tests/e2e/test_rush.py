"""Many buyers, few tickets, one instant."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx
from goticket_testing.event_log import confirmed_events
from goticket_testing.stack import RunningStack
from goticket_testing.world import Inbox, People, Person, book, create_event, eventually
from prometheus_client.parser import text_string_to_metric_families

BUYERS = 200
TICKETS = 100
RETRIES = 1_000


async def test_200_buyers_of_100_tickets_make_exactly_100_bookings(
    api: httpx.AsyncClient, inbox: Inbox, stack: RunningStack, people: People, organizer: Person
) -> None:
    event = await create_event(api, organizer, capacity=TICKETS)
    buyers = [people.person() for _ in range(BUYERS)]
    answers = await asyncio.gather(*(book(api, buyer, event["id"]) for buyer in buyers))

    assert Counter(answer.status_code for answer in answers) == {201: TICKETS, 409: TICKETS}
    refusals = {answer.json()["error"] for answer in answers if answer.status_code == 409}
    assert refusals == {"sold_out"}
    left = (await api.get(f"/api/v1/events/{event['id']}/availability")).json()
    assert left["available"] == 0

    winners = {
        buyer.email
        for buyer, answer in zip(buyers, answers, strict=True)
        if answer.status_code == 201
    }
    addresses = {buyer.email for buyer in buyers}

    async def mailed() -> dict[str, int] | None:
        counts = await inbox.counts()
        mine = {address: n for address, n in counts.items() if address in addresses}
        return mine if len(mine) >= TICKETS else None

    assert await eventually(mailed) == dict.fromkeys(winners, 1)
    confirmed = await confirmed_events(stack.amqp_url, event["id"], at_least=TICKETS)
    assert len(confirmed) == len(set(confirmed)) == TICKETS


async def test_a_thousand_retries_of_one_key_make_one_booking_and_equal_answers(
    api: httpx.AsyncClient, stack: RunningStack, organizer: Person, buyer: Person
) -> None:
    event = await create_event(api, organizer)
    async with AsyncExitStack() as opened:
        doors = [
            await opened.enter_async_context(_door(stack, connections=100))
            for _ in range(RETRIES // 100)
        ]

        async def ask(door: httpx.AsyncClient) -> httpx.Response:
            async def answered() -> httpx.Response | None:
                answer = await book(door, buyer, event["id"], key="only-once", quantity=2)
                # A slow machine may say "busy"; then one asks again, as clients do.
                return None if answer.status_code == 503 else answer

            return await eventually(answered)

        answers = await asyncio.gather(
            *(ask(doors[number % len(doors)]) for number in range(RETRIES))
        )
    assert Counter((answer.status_code, answer.content) for answer in answers) == {
        (201, answers[0].content): RETRIES
    }
    replayed = Counter(answer.headers.get("Idempotency-Replayed") for answer in answers)
    # All but the first; it too, where that was told "unavailable" and asked again.
    assert replayed["true"] in {RETRIES - 1, RETRIES}
    mine = (await api.get("/api/v1/bookings", headers=buyer.headers)).json()["items"]
    assert [booking["id"] for booking in mine] == [answers[0].json()["id"]]
    left = (await api.get(f"/api/v1/events/{event['id']}/availability")).json()
    assert left["available"] == 998


def _door(stack: RunningStack, *, connections: int) -> httpx.AsyncClient:
    """Return a client of its own: one with a thousand connections is slow to find a free one."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncClient(base_url=stack.base_url, timeout=60, limits=limits)


async def test_a_ticket_that_comes_back_is_sold_though_the_gateway_knew_it_was_gone(
    api: httpx.AsyncClient, people: People, organizer: Person, buyer: Person
) -> None:
    event = await create_event(api, organizer, capacity=1)
    first = await book(api, buyer, event["id"])
    assert first.status_code == 201
    other = people.person()

    async def ask() -> httpx.Response:
        # Without an idempotency key: only such requests are refused from memory.
        return await api.post(
            f"/api/v1/events/{event['id']}/bookings", json={"quantity": 1}, headers=other.headers
        )

    async def refused_from_memory() -> bool:
        before = await _refused_from_memory(api)
        answer = await ask()
        assert (answer.status_code, answer.json()["error"]) == (409, "sold_out")
        return await _refused_from_memory(api) > before

    await eventually(refused_from_memory)
    given_back = await api.post(
        f"/api/v1/bookings/{first.json()['id']}/cancel", headers=buyer.headers
    )
    assert given_back.status_code == 200

    async def sold() -> httpx.Response | None:
        answer = await ask()
        assert answer.status_code in {201, 409}, answer.text
        return answer if answer.status_code == 201 else None

    again = await eventually(sold)
    assert again.json()["id"] != first.json()["id"]
    left = (await api.get(f"/api/v1/events/{event['id']}/availability")).json()
    assert left["available"] == 0


async def _refused_from_memory(api: httpx.AsyncClient) -> float:
    metrics = (await api.get("/metrics")).text
    (value,) = (
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "goticket_gateway_sold_out_refusals_total"
    )
    return value
