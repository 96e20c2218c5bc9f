"""Many buyers request few tickets at the same time."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx
from goticket_testing.clients import (
    ApiUser,
    ApiUserFactory,
    Mailbox,
    create_booking,
    create_event,
    eventually,
    wait_for_availability,
)
from goticket_testing.event_log import confirmed_events
from goticket_testing.stack import RunningStack
from prometheus_client.parser import text_string_to_metric_families

BUYERS = 200
TICKETS = 100
RETRIES = 1_000


async def test_200_buyers_of_100_tickets_make_exactly_100_bookings(
    api: httpx.AsyncClient,
    mailbox: Mailbox,
    stack: RunningStack,
    users: ApiUserFactory,
    organizer: ApiUser,
) -> None:
    event = await create_event(api, organizer, capacity=TICKETS)
    buyers = [users.create() for _ in range(BUYERS)]
    responses = await asyncio.gather(*(create_booking(api, buyer, event["id"]) for buyer in buyers))

    assert Counter(response.status_code for response in responses) == {201: TICKETS, 409: TICKETS}
    rejections = {response.json()["error"] for response in responses if response.status_code == 409}
    assert rejections == {"sold_out"}
    await wait_for_availability(api, event["id"], 0)

    winners = {
        buyer.email
        for buyer, response in zip(buyers, responses, strict=True)
        if response.status_code == 201
    }
    addresses = {buyer.email for buyer in buyers}

    async def emails_by_address() -> dict[str, int] | None:
        counts = await mailbox.counts()
        received = {address: n for address, n in counts.items() if address in addresses}
        return received if len(received) >= TICKETS else None

    assert await eventually(emails_by_address) == dict.fromkeys(winners, 1)
    confirmed = await confirmed_events(stack.amqp_url, event["id"], at_least=TICKETS)
    assert len(confirmed) == len(set(confirmed)) == TICKETS


async def test_a_thousand_retries_of_one_key_create_one_booking_and_get_equal_responses(
    api: httpx.AsyncClient, stack: RunningStack, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    async with AsyncExitStack() as opened:
        clients = [
            await opened.enter_async_context(_client(stack, connections=100))
            for _ in range(RETRIES // 100)
        ]

        async def retry_while_busy(client: httpx.AsyncClient) -> httpx.Response:
            async def final() -> httpx.Response | None:
                response = await create_booking(
                    client, buyer, event["id"], key="only-once", quantity=2
                )
                # On a slow machine the gateway may respond "busy"; clients then retry.
                return None if response.status_code == 503 else response

            return await eventually(final)

        responses = await asyncio.gather(
            *(retry_while_busy(clients[number % len(clients)]) for number in range(RETRIES))
        )
    assert Counter((response.status_code, response.content) for response in responses) == {
        (201, responses[0].content): RETRIES
    }
    replayed = Counter(response.headers.get("Idempotency-Replayed") for response in responses)
    # All but the first, and the first too if it was retried after a 503.
    assert replayed["true"] in {RETRIES - 1, RETRIES}
    listed = (await api.get("/api/v1/bookings", headers=buyer.headers)).json()["items"]
    assert [booking["id"] for booking in listed] == [responses[0].json()["id"]]
    await wait_for_availability(api, event["id"], 998)


def _client(stack: RunningStack, *, connections: int) -> httpx.AsyncClient:
    """Return a client; one client with a thousand connections is slow to find a free one."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncClient(base_url=stack.base_url, timeout=60, limits=limits)


async def test_a_cancelled_ticket_is_sold_again_although_the_gateway_has_cached_sold_out(
    api: httpx.AsyncClient, users: ApiUserFactory, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer, capacity=1)
    first = await create_booking(api, buyer, event["id"])
    assert first.status_code == 201
    other = users.create()

    async def request() -> httpx.Response:
        # The sold-out cache rejects only requests without an idempotency key.
        return await api.post(
            f"/api/v1/events/{event['id']}/bookings", json={"quantity": 1}, headers=other.headers
        )

    async def rejected_by_cache() -> bool:
        before = await _rejected_by_cache(api)
        response = await request()
        assert (response.status_code, response.json()["error"]) == (409, "sold_out")
        return await _rejected_by_cache(api) > before

    await eventually(rejected_by_cache)
    cancelled = await api.post(
        f"/api/v1/bookings/{first.json()['id']}/cancel", headers=buyer.headers
    )
    assert cancelled.status_code == 200

    async def sold() -> httpx.Response | None:
        response = await request()
        assert response.status_code in {201, 409}, response.text
        return response if response.status_code == 201 else None

    again = await eventually(sold)
    assert again.json()["id"] != first.json()["id"]
    await wait_for_availability(api, event["id"], 0)


async def _rejected_by_cache(api: httpx.AsyncClient) -> float:
    metrics = (await api.get("/metrics")).text
    (value,) = (
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "goticket_gateway_sold_out_rejections_total"
    )
    return value
