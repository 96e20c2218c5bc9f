"""Outages of servers and processes lose no booking and no e-mail, and duplicate none.

After every test the system is restored.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest
from goticket_testing.clients import (
    ApiUser,
    ApiUserFactory,
    Mailbox,
    create_booking,
    create_event,
    eventually,
    wait_for_availability,
)
from goticket_testing.stack import RunningStack
from notification.config import WorkerSettings

SMTP_CONNECTIONS = sum(
    WorkerSettings.model_fields[name].default for name in ("concurrency", "large_concurrency")
)
"""A connection gets its next e-mail when the last one is recorded, so a kill of the worker may
repeat one e-mail per connection (docs/adr/0015)."""


@pytest.fixture(autouse=True)
async def restored(stack: RunningStack, api: httpx.AsyncClient) -> AsyncIterator[None]:
    """Start what a test has stopped, and wait until the system is ready."""
    yield
    await asyncio.to_thread(stack.heal)


async def email_counts(mailbox: Mailbox, buyers: list[ApiUser]) -> dict[str, int]:
    """Wait until each buyer has an e-mail; return the number of e-mails by address."""
    addresses = {buyer.email for buyer in buyers}

    async def all_received() -> dict[str, int] | None:
        counts = await mailbox.counts()
        received = {address: n for address, n in counts.items() if address in addresses}
        return received if len(received) == len(addresses) else None

    return await eventually(all_received, seconds=120)


async def check_one_email_each(mailbox: Mailbox, buyers: list[ApiUser]) -> None:
    """Wait until each buyer has an e-mail, and check that no buyer has two."""
    assert set((await email_counts(mailbox, buyers)).values()) == {1}


async def check_an_email_each_with_few_repeats(
    mailbox: Mailbox, buyers: list[ApiUser], at_most: int
) -> None:
    """Wait until each buyer has an e-mail, and allow a few repeated ones.

    A crash between SMTP's acceptance and the commit repeats the e-mail (docs/adr/0015).
    The repeat has the same Message-ID.
    """
    counts = await email_counts(mailbox, buyers)
    repeated = [address for address, n in counts.items() if n > 1]
    assert len(repeated) <= at_most
    for address in repeated:
        messages = await mailbox.messages_to(address)
        assert len({message["MessageID"] for message in messages}) == 1


async def test_bookings_succeed_without_the_broker_and_emails_follow_later(
    api: httpx.AsyncClient,
    mailbox: Mailbox,
    stack: RunningStack,
    users: ApiUserFactory,
    organizer: ApiUser,
) -> None:
    event = await create_event(api, organizer)
    buyers = [users.create() for _ in range(20)]
    await asyncio.to_thread(stack.rabbitmq.stop)
    for buyer in buyers:
        assert (await create_booking(api, buyer, event["id"])).status_code == 201
    await asyncio.to_thread(stack.rabbitmq.start)
    await check_one_email_each(mailbox, buyers)


async def create_200_bookings_and_kill(
    api: httpx.AsyncClient,
    stack: RunningStack,
    users: ApiUserFactory,
    organizer: ApiUser,
    process: str,
) -> list[ApiUser]:
    """Kill a process with SIGKILL after 100 of 200 bookings and start it; return the buyers."""
    event = await create_event(api, organizer)
    buyers = [users.create() for _ in range(200)]
    responses: list[httpx.Response] = []

    async def book_in_turn(share: list[ApiUser]) -> None:
        for buyer in share:
            responses.append(await create_booking(api, buyer, event["id"]))
            if len(responses) == len(buyers) // 2:
                stack.kill(process, signal.SIGKILL)

    await asyncio.gather(*(book_in_turn(buyers[start::8]) for start in range(8)))
    stack.start(process)
    assert Counter(response.status_code for response in responses) == {201: 200}
    return buyers


async def test_killing_the_relay_loses_and_duplicates_no_email(
    api: httpx.AsyncClient,
    mailbox: Mailbox,
    stack: RunningStack,
    users: ApiUserFactory,
    organizer: ApiUser,
) -> None:
    buyers = await create_200_bookings_and_kill(api, stack, users, organizer, "booking relay")
    await check_one_email_each(mailbox, buyers)


async def test_killing_the_notification_worker_loses_no_email(
    api: httpx.AsyncClient,
    mailbox: Mailbox,
    stack: RunningStack,
    users: ApiUserFactory,
    organizer: ApiUser,
) -> None:
    worker = "notification worker"
    buyers = await create_200_bookings_and_kill(api, stack, users, organizer, worker)
    await check_an_email_each_with_few_repeats(mailbox, buyers, at_most=SMTP_CONNECTIONS)


async def test_bookings_and_reads_work_without_redis(
    api: httpx.AsyncClient, stack: RunningStack, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer, capacity=10)
    await asyncio.to_thread(stack.redis.stop)
    assert (await create_booking(api, buyer, event["id"], quantity=3)).status_code == 201
    read = await api.get(f"/api/v1/events/{event['id']}")
    assert (read.status_code, read.json()["availableSpots"]) == (200, 7)
    availability = await api.get(f"/api/v1/events/{event['id']}/availability")
    assert (availability.status_code, availability.json()["available"]) == (200, 7)
    assert (await api.get("/api/v1/events")).status_code == 200
    await asyncio.to_thread(stack.redis.start)
    assert (await create_booking(api, buyer, event["id"], quantity=3)).status_code == 201
    await wait_for_availability(api, event["id"], 4, seconds=60)


async def test_a_database_restart_causes_prompt_503s_and_then_bookings_succeed(
    api: httpx.AsyncClient, stack: RunningStack, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    assert (await create_booking(api, buyer, event["id"])).status_code == 201
    await asyncio.to_thread(stack.postgres.stop)
    down = await create_booking(api, buyer, event["id"])
    assert down.status_code == 503
    assert (down.json()["error"], int(down.headers["retry-after"]) >= 1) == ("unavailable", True)
    assert (await api.get("/livez")).status_code == 200
    assert (await api.get("/health/db")).status_code == 503
    await asyncio.to_thread(stack.postgres.start)

    async def booked() -> bool:
        return (await create_booking(api, buyer, event["id"])).status_code == 201

    await eventually(booked)


async def test_a_database_killed_under_load_causes_only_503s(
    api: httpx.AsyncClient, stack: RunningStack, users: ApiUserFactory, organizer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    responses: Counter[int] = Counter()

    async def keep_booking() -> None:
        for _ in range(10):
            responses[(await create_booking(api, users.create(), event["id"])).status_code] += 1
            if responses.total() == 64:
                await asyncio.to_thread(stack.postgres.kill)

    await asyncio.gather(*(keep_booking() for _ in range(16)))
    assert responses.total() == 160
    assert set(responses) == {201, 503}, responses


async def test_a_killed_booking_server_causes_prompt_503s_and_its_restart_is_detected(
    api: httpx.AsyncClient, stack: RunningStack, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    stack.kill("booking serve", signal.SIGKILL)
    rejected = await create_booking(api, buyer, event["id"])
    assert rejected.status_code == 503
    assert rejected.headers["retry-after"]
    stack.start("booking serve")

    async def booked() -> bool:
        return (await create_booking(api, buyer, event["id"])).status_code == 201

    await eventually(booked)


async def test_a_stopping_gateway_completes_its_requests_and_retries_return_the_same_bookings(
    api: httpx.AsyncClient, stack: RunningStack, users: ApiUserFactory, organizer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    buyers = [users.create() for _ in range(50)]
    pending = [
        asyncio.create_task(create_booking(api, buyer, event["id"], key="k", quantity=1))
        for buyer in buyers
    ]
    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    code = await asyncio.to_thread(stack.stop, "gateway serve")
    outcomes = await asyncio.gather(*pending, return_exceptions=True)
    stack.start("gateway serve")
    assert code == 0
    completed = [outcome for outcome in outcomes if isinstance(outcome, httpx.Response)]
    assert {response.status_code for response in completed} == {201}
    # Clients that found the port closed retry with the same key.
    assert all(isinstance(outcome, httpx.Response | httpx.TransportError) for outcome in outcomes)
    again = [await create_booking(api, buyer, event["id"], key="k", quantity=1) for buyer in buyers]
    assert {response.status_code for response in again} == {201}
    first_ids = {response.json()["id"] for response in completed}
    assert first_ids <= {response.json()["id"] for response in again}
    await wait_for_availability(api, event["id"], event["capacity"] - len(buyers))


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
async def test_every_process_exits_with_0_after_sigterm(stack: RunningStack, name: str) -> None:
    assert await asyncio.to_thread(stack.stop, name) == 0
    stack.start(name)
