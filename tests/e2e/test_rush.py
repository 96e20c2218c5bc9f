"""Many buyers, few tickets, one instant."""

import asyncio
from collections import Counter

import httpx
from goticket_testing.event_log import confirmed_events
from goticket_testing.stack import RunningStack
from goticket_testing.world import Inbox, People, Person, book, create_event, eventually

BUYERS = 200
TICKETS = 100


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


async def test_retries_of_one_key_make_one_booking(
    api: httpx.AsyncClient, organizer: Person, buyer: Person
) -> None:
    event = await create_event(api, organizer)
    answers = await asyncio.gather(
        *(book(api, buyer, event["id"], key="only-once", quantity=2) for _ in range(30))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    left = (await api.get(f"/api/v1/events/{event['id']}/availability")).json()
    assert left["available"] == 998
