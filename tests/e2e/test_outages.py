"""Servers and processes die; bookings and e-mails do not get lost, and nothing is doubled.

Every test leaves the system whole again, whatever happened in it.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from goticket_testing.stack import RunningStack
from goticket_testing.world import Inbox, People, Person, book, create_event, eventually

WORKER_CONCURRENCY = 16
"""Letters that one notification worker has in hand at once, by default."""


@pytest.fixture(autouse=True)
async def whole_again(stack: RunningStack, api: httpx.AsyncClient) -> AsyncIterator[None]:
    """Start whatever a test left down, and wait until the system says that it is ready."""
    yield
    await asyncio.to_thread(stack.heal)


async def mails_of(inbox: Inbox, people: list[Person]) -> dict[str, int]:
    """Wait until each of `people` has mail; return how many each has."""
    addresses = {person.email for person in people}

    async def all_told() -> dict[str, int] | None:
        counts = await inbox.counts()
        mine = {address: n for address, n in counts.items() if address in addresses}
        return mine if len(mine) == len(addresses) else None

    return await eventually(all_told, seconds=120)


async def every_mail_once(inbox: Inbox, people: list[Person]) -> None:
    """Wait until each of `people` has mail; then check that nobody has two."""
    assert set((await mails_of(inbox, people)).values()) == {1}


async def every_mail_but_repeats_of_the_same(
    inbox: Inbox, people: list[Person], at_most: int
) -> None:
    """As above, but allow a few letters that SMTP took just before the crash to come twice.

    Between the mail server's yes and the commit lies a moment in which a crash repeats
    the letter (docs/adr/0003). It is the same letter, and says so by its Message-ID.
    """
    counts = await mails_of(inbox, people)
    repeated = [address for address, n in counts.items() if n > 1]
    assert len(repeated) <= at_most
    for address in repeated:
        messages = await inbox.to(address)
        assert len({message["MessageID"] for message in messages}) == 1


async def test_bookings_succeed_without_the_broker_and_the_mails_come_later(
    api: httpx.AsyncClient, inbox: Inbox, stack: RunningStack, people: People, organizer: Person
) -> None:
    event = await create_event(api, organizer)
    buyers = [people.person() for _ in range(20)]
    await asyncio.to_thread(stack.rabbitmq.stop)
    for buyer in buyers:
        assert (await book(api, buyer, event["id"])).status_code == 201
    await asyncio.to_thread(stack.rabbitmq.start)
    await every_mail_once(inbox, buyers)


async def book_200_and_kill_in_the_middle(
    api: httpx.AsyncClient, stack: RunningStack, people: People, organizer: Person, victim: str
) -> list[Person]:
    """Kill `victim` with -9 after 100 of 200 bookings, start it again; return the buyers."""
    event = await create_event(api, organizer)
    buyers = [people.person() for _ in range(200)]
    answers: list[httpx.Response] = []

    async def work(mine: list[Person]) -> None:
        for buyer in mine:
            answers.append(await book(api, buyer, event["id"]))
            if len(answers) == len(buyers) // 2:
                stack.kill(victim, signal.SIGKILL)

    await asyncio.gather(*(work(buyers[lane::8]) for lane in range(8)))
    stack.start(victim)
    assert Counter(answer.status_code for answer in answers) == {201: 200}
    return buyers


async def test_killing_the_relay_in_the_middle_loses_and_doubles_nothing(
    api: httpx.AsyncClient, inbox: Inbox, stack: RunningStack, people: People, organizer: Person
) -> None:
    buyers = await book_200_and_kill_in_the_middle(api, stack, people, organizer, "booking relay")
    await every_mail_once(inbox, buyers)


async def test_killing_the_notification_worker_in_the_middle_loses_nothing(
    api: httpx.AsyncClient, inbox: Inbox, stack: RunningStack, people: People, organizer: Person
) -> None:
    victim = "notification worker"
    buyers = await book_200_and_kill_in_the_middle(api, stack, people, organizer, victim)
    await every_mail_but_repeats_of_the_same(inbox, buyers, at_most=WORKER_CONCURRENCY)


async def test_bookings_and_reads_work_without_redis(
    api: httpx.AsyncClient, stack: RunningStack, organizer: Person, buyer: Person
) -> None:
    event = await create_event(api, organizer, capacity=10)
    await asyncio.to_thread(stack.redis.stop)
    assert (await book(api, buyer, event["id"], quantity=3)).status_code == 201
    read = await api.get(f"/api/v1/events/{event['id']}")
    assert (read.status_code, read.json()["availableSpots"]) == (200, 7)
    left = await api.get(f"/api/v1/events/{event['id']}/availability")
    assert (left.status_code, left.json()["available"]) == (200, 7)
    assert (await api.get("/api/v1/events")).status_code == 200
    await asyncio.to_thread(stack.redis.start)
    assert (await book(api, buyer, event["id"], quantity=3)).status_code == 201

    async def fresh() -> bool:
        answer = await api.get(f"/api/v1/events/{event['id']}/availability")
        return bool(answer.json()["available"] == 4)

    await eventually(fresh)


async def test_a_database_restart_is_a_prompt_503_and_then_forgotten(
    api: httpx.AsyncClient, stack: RunningStack, organizer: Person, buyer: Person
) -> None:
    event = await create_event(api, organizer)
    assert (await book(api, buyer, event["id"])).status_code == 201
    await asyncio.to_thread(stack.postgres.stop)
    down = await book(api, buyer, event["id"])
    assert down.status_code == 503
    assert (down.json()["error"], int(down.headers["retry-after"]) >= 1) == ("unavailable", True)
    assert (await api.get("/livez")).status_code == 200
    assert (await api.get("/health/db")).status_code == 503
    await asyncio.to_thread(stack.postgres.start)

    async def booked() -> bool:
        return (await book(api, buyer, event["id"])).status_code == 201

    await eventually(booked)


async def test_a_database_killed_under_load_makes_503s_and_nothing_else(
    api: httpx.AsyncClient, stack: RunningStack, people: People, organizer: Person
) -> None:
    event = await create_event(api, organizer)
    answers: Counter[int] = Counter()

    async def keep_booking() -> None:
        for _ in range(10):
            answers[(await book(api, people.person(), event["id"])).status_code] += 1
            if answers.total() == 64:
                await asyncio.to_thread(stack.postgres.kill)

    await asyncio.gather(*(keep_booking() for _ in range(16)))
    assert answers.total() == 160
    assert set(answers) == {201, 503}, answers


async def test_a_dead_backend_is_a_prompt_503_and_a_restarted_one_is_found_again(
    api: httpx.AsyncClient, stack: RunningStack, organizer: Person, buyer: Person
) -> None:
    event = await create_event(api, organizer)
    stack.kill("booking serve", signal.SIGKILL)
    refused = await book(api, buyer, event["id"])
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    stack.start("booking serve")

    async def booked() -> bool:
        return (await book(api, buyer, event["id"])).status_code == 201

    await eventually(booked)


async def test_a_gateway_told_to_stop_finishes_and_leaves_nothing_in_doubt(
    api: httpx.AsyncClient, stack: RunningStack, people: People, organizer: Person
) -> None:
    event = await create_event(api, organizer)
    buyers = [people.person() for _ in range(50)]
    pending = [
        asyncio.create_task(book(api, buyer, event["id"], key="k", quantity=1)) for buyer in buyers
    ]
    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    code = await asyncio.to_thread(stack.stop, "gateway serve")
    outcomes = await asyncio.gather(*pending, return_exceptions=True)
    stack.start("gateway serve")
    assert code == 0
    answered = [outcome for outcome in outcomes if isinstance(outcome, httpx.Response)]
    assert {answer.status_code for answer in answered} == {201}
    # Who found the port closed asks again with the same key, as clients should.
    assert all(isinstance(outcome, httpx.Response | httpx.TransportError) for outcome in outcomes)
    again = [await book(api, buyer, event["id"], key="k", quantity=1) for buyer in buyers]
    assert {answer.status_code for answer in again} == {201}
    made_before = {answer.json()["id"] for answer in answered}
    assert made_before <= {answer.json()["id"] for answer in again}
    left = (await api.get(f"/api/v1/events/{event['id']}/availability")).json()
    assert left["available"] == event["capacity"] - len(buyers)


@pytest.mark.parametrize(
    "name",
    [
        "identity serve",
        "identity relay",
        "catalog serve",
        "catalog relay",
        "booking serve",
        "booking relay",
        "booking worker",
        "booking sweeper",
        "notification worker",
    ],
)
async def test_every_process_stops_cleanly_when_told(stack: RunningStack, name: str) -> None:
    assert await asyncio.to_thread(stack.stop, name) == 0
    stack.start(name)
