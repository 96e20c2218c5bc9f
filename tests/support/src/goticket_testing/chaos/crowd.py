"""Buyers who want tickets, lose patience, ask again, and remember what they were told."""

import asyncio
import random
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import httpx

from goticket_testing.chaos.records import Order, Step, Told
from goticket_testing.chaos.stack import HOLD_SECONDS
from goticket_testing.world import People, Person

ANSWER_SECONDS = 15.0
"""How long a client waits for an answer before it asks again."""
PATIENCE_SECONDS = 60.0
"""How long after the load's end clients go on asking."""


@dataclass(frozen=True)
class Sale:
    """An event on sale: its id and its ticket types."""

    event_id: str
    ticket_types: tuple[str, ...]


@dataclass
class Crowd:
    """`size` clients who order one after another, each order as a new person.

    `pause` is the longest rest between two orders of one client, in seconds; `holds`
    the share of orders that only set tickets aside at first, `twins` the share of those
    that are sent twice at once.
    """

    seed: int
    doors: Sequence[str]
    people: People
    sales: Sequence[Sale]
    size: int = 12
    pause: float = 0.6
    holds: float = 0.4
    twins: float = 0.1
    orders: list[Order] = field(default_factory=list)
    _over: float = 0.0

    async def run(self, seconds: float) -> None:
        """Keep ordering for so long, each client once at least; return when all have answers."""
        async with Ways(self.doors) as ways, asyncio.TaskGroup() as clients:
            began = time.monotonic()
            self._over = began + seconds
            for number in range(self.size):
                clients.create_task(self._client(number, ways, began, seconds))

    async def _client(self, number: int, ways: "Ways", began: float, seconds: float) -> None:
        rng = random.Random(f"{self.seed}/{number}")
        passed = 0.0
        while passed < seconds:
            sale = self._choose(rng, passed / seconds)
            await Buyer(rng, ways, self._over, self.twins).act(self._order(rng, sale))
            await asyncio.sleep(rng.uniform(0, self.pause))
            passed = time.monotonic() - began

    def _choose(self, rng: random.Random, progress: float) -> Sale:
        """Half of all want the first, which has plenty; the others what is on sale just now."""
        hot, *others = self.sales
        if not others or rng.random() < 0.5:
            return hot
        return others[int(progress * len(others))]

    def _order(self, rng: random.Random, sale: Sale) -> tuple[Person, Order]:
        person = self.people.person()
        types = rng.sample(sale.ticket_types, rng.randint(1, len(sale.ticket_types)))
        order = Order(
            buyer_id=person.id,
            buyer_email=person.email,
            event_id=sale.event_id,
            key=f"order-{rng.getrandbits(48):x}",
            wanted={ticket_type: rng.randint(1, 3) for ticket_type in types},
            hold=rng.random() < self.holds,
        )
        self.orders.append(order)
        return person, order


class Ways:
    """Clients of every door."""

    def __init__(self, doors: Sequence[str]) -> None:
        limits = httpx.Limits(max_connections=None)
        self._clients = [
            httpx.AsyncClient(base_url=door, timeout=ANSWER_SECONDS, limits=limits)
            for door in doors
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()

    def any(self, rng: random.Random) -> httpx.AsyncClient:
        """Take one."""
        return rng.choice(self._clients)


class Buyer:
    """What one person does about one order."""

    def __init__(self, rng: random.Random, ways: Ways, load_ends: float, twins: float) -> None:
        self._rng = rng
        self._twins = twins
        self._ways = ways
        self._deadline = load_ends + PATIENCE_SECONDS

    async def act(self, wish: tuple[Person, Order]) -> None:
        """Book, perhaps twice at once; then perhaps confirm and cancel."""
        person, order = wish
        body = {
            "items": [
                {"ticketTypeId": ticket_type, "quantity": quantity}
                for ticket_type, quantity in order.wanted.items()
            ],
            "hold": order.hold,
        }
        path = f"/api/v1/events/{order.event_id}/bookings"
        headers = {**person.headers, "Idempotency-Key": order.key}

        def ask() -> Awaitable[Told]:
            return self._until_answered(order, Step.BOOK, path, headers, body)

        times = 2 if self._rng.random() < self._twins else 1
        told, *_ = await asyncio.gather(*(ask() for _ in range(times)))
        if told.granted:
            await self._after(person, order, f"/api/v1/bookings/{told.booking_id}")

    async def _after(self, person: Person, order: Order, path: str) -> None:
        rng = self._rng

        async def ask(step: Step) -> Told:
            return await self._until_answered(order, step, f"{path}/{step}", person.headers, None)

        if not order.hold:
            if rng.random() < 0.1:
                await ask(Step.CANCEL)
            return
        match rng.choices(["confirm", "cancel", "forget", "brink"], [5, 2, 2, 1])[0]:
            case "confirm":
                await asyncio.sleep(rng.uniform(0, 0.5))
                await ask(Step.CONFIRM)
            case "cancel":
                await ask(Step.CANCEL)
            case "brink":  # together with the sweeper
                await asyncio.sleep(HOLD_SECONDS + rng.uniform(-0.3, 0.7))
                await ask(rng.choice([Step.CONFIRM, Step.CANCEL]))

    async def _until_answered(
        self,
        order: Order,
        step: Step,
        path: str,
        headers: dict[str, str],
        body: dict[str, Any] | None,
    ) -> Told:
        """Ask until there is an answer, now and then hanging up in the middle."""
        hasty = self._rng.random() < 0.15
        while True:
            client = self._ways.any(self._rng)
            wait = self._rng.uniform(0.0, 0.06) if hasty else ANSWER_SECONDS
            told = await attempt(
                step,
                client.post(path, json=body, headers=headers),
                wait,
            )
            order.told.append(told)
            if told.definite or time.monotonic() > self._deadline:
                return told
            hasty = False
            await asyncio.sleep(self._rng.uniform(0.05, 0.5))


async def attempt(step: Step, sent: Awaitable[httpx.Response], wait: float) -> Told:
    """Send one request and hang up after `wait` seconds; return what was told."""
    try:
        async with asyncio.timeout(wait):
            answer = await sent
            body: dict[str, Any] = answer.json()
    except (httpx.TransportError, TimeoutError, ValueError):
        return Told(step, None)
    if answer.status_code not in (HTTPStatus.OK, HTTPStatus.CREATED):
        return Told(step, answer.status_code, str(body.get("error", "")))
    return Told(
        step,
        answer.status_code,
        booking_id=body["id"],
        booking_status=body["status"],
        tickets=frozenset(ticket["id"] for ticket in body["tickets"]),
    )
