"""Concurrent clients that book, disconnect, retry with the same key, and record every response."""

import asyncio
import random
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import httpx

from goticket_testing.chaos.records import ClientResponse, Operation, Purchase
from goticket_testing.chaos.stack import HOLD_SECONDS
from goticket_testing.clients import ApiUser, ApiUserFactory

RESPONSE_SECONDS = 15.0
"""A client waits this long for a response before it retries."""
RETRY_SECONDS = 60.0
"""Clients retry for this long after the end of the load."""


@dataclass(frozen=True)
class EventOnSale:
    """The ids of an event and of its ticket types."""

    event_id: str
    ticket_types: tuple[str, ...]


@dataclass
class LoadGenerator:
    """`clients` concurrent clients, each with one purchase after another by a new user.

    `max_pause` is the longest pause of a client between two purchases, in seconds.
    `hold_share` is the share of purchases that begin with a hold. `duplicate_share` is the
    share of purchases whose first request is sent twice at once.
    """

    seed: int
    gateway_urls: Sequence[str]
    users: ApiUserFactory
    events: Sequence[EventOnSale]
    clients: int = 12
    max_pause: float = 0.6
    hold_share: float = 0.4
    duplicate_share: float = 0.1
    purchases: list[Purchase] = field(default_factory=list)
    _load_ends: float = 0.0

    async def run(self, seconds: float) -> None:
        """Generate load for `seconds`, at least one purchase per client.

        Returns when every request has a final response, or after `RETRY_SECONDS` more.
        """
        async with Gateways(self.gateway_urls) as gateways, asyncio.TaskGroup() as tasks:
            began = time.monotonic()
            self._load_ends = began + seconds
            for number in range(self.clients):
                tasks.create_task(self._client(number, gateways, began, seconds))

    async def _client(
        self, number: int, gateways: "Gateways", began: float, seconds: float
    ) -> None:
        rng = random.Random(f"{self.seed}/{number}")
        elapsed = 0.0
        while elapsed < seconds:
            event = self._choose_event(rng, elapsed / seconds)
            buyer = Buyer(rng, gateways, self._load_ends, self.duplicate_share)
            await buyer.run(*self._new_purchase(rng, event))
            await asyncio.sleep(rng.uniform(0, self.max_pause))
            elapsed = time.monotonic() - began

    def _choose_event(self, rng: random.Random, progress: float) -> EventOnSale:
        """Half of all purchases are of the first, large event; the others go through the rest."""
        hot, *others = self.events
        if not others or rng.random() < 0.5:
            return hot
        return others[int(progress * len(others))]

    def _new_purchase(self, rng: random.Random, event: EventOnSale) -> tuple[ApiUser, Purchase]:
        user = self.users.create()
        types = rng.sample(event.ticket_types, rng.randint(1, len(event.ticket_types)))
        purchase = Purchase(
            buyer_id=user.id,
            buyer_email=user.email,
            event_id=event.event_id,
            key=f"purchase-{rng.getrandbits(48):x}",
            quantities={ticket_type: rng.randint(1, 3) for ticket_type in types},
            hold=rng.random() < self.hold_share,
        )
        self.purchases.append(purchase)
        return user, purchase


class Gateways:
    """HTTP clients of every gateway."""

    def __init__(self, urls: Sequence[str]) -> None:
        limits = httpx.Limits(max_connections=None)
        self._clients = [
            httpx.AsyncClient(base_url=url, timeout=RESPONSE_SECONDS, limits=limits) for url in urls
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()

    def choose(self, rng: random.Random) -> httpx.AsyncClient:
        """Return a random one."""
        return rng.choice(self._clients)


class Buyer:
    """Carries out one purchase."""

    def __init__(
        self, rng: random.Random, gateways: Gateways, load_ends: float, duplicate_share: float
    ) -> None:
        self._rng = rng
        self._duplicate_share = duplicate_share
        self._gateways = gateways
        self._deadline = load_ends + RETRY_SECONDS

    async def run(self, user: ApiUser, purchase: Purchase) -> None:
        """Book, sometimes with two concurrent requests; then possibly confirm and cancel."""
        body = {
            "items": [
                {"ticketTypeId": ticket_type, "quantity": quantity}
                for ticket_type, quantity in purchase.quantities.items()
            ],
            "hold": purchase.hold,
        }
        path = f"/api/v1/events/{purchase.event_id}/bookings"
        headers = {**user.headers, "Idempotency-Key": purchase.key}

        def book() -> Awaitable[ClientResponse]:
            return self._retry_until_final(purchase, Operation.BOOK, path, headers, body)

        requests = 2 if self._rng.random() < self._duplicate_share else 1
        response, *_ = await asyncio.gather(*(book() for _ in range(requests)))
        if response.succeeded:
            await self._follow_up(user, purchase, f"/api/v1/bookings/{response.booking_id}")

    async def _follow_up(self, user: ApiUser, purchase: Purchase, path: str) -> None:
        rng = self._rng

        async def request(operation: Operation) -> None:
            url = f"{path}/{operation}"
            await self._retry_until_final(purchase, operation, url, user.headers, None)

        if not purchase.hold:
            if rng.random() < 0.1:
                await request(Operation.CANCEL)
            return
        match rng.choices(["confirm", "cancel", "abandon", "at expiry"], [5, 2, 2, 1])[0]:
            case "confirm":
                await asyncio.sleep(rng.uniform(0, 0.5))
                await request(Operation.CONFIRM)
            case "cancel":
                await request(Operation.CANCEL)
            case "at expiry":  # races with the sweeper
                await asyncio.sleep(HOLD_SECONDS + rng.uniform(-0.3, 0.7))
                await request(rng.choice([Operation.CONFIRM, Operation.CANCEL]))

    async def _retry_until_final(
        self,
        purchase: Purchase,
        operation: Operation,
        path: str,
        headers: dict[str, str],
        body: dict[str, Any] | None,
    ) -> ClientResponse:
        """Retry until the response is final; a share of the first requests disconnects early."""
        disconnects_early = self._rng.random() < 0.15
        while True:
            client = self._gateways.choose(self._rng)
            timeout = self._rng.uniform(0.0, 0.06) if disconnects_early else RESPONSE_SECONDS
            response = await send(operation, client.post(path, json=body, headers=headers), timeout)
            purchase.responses.append(response)
            if response.final or time.monotonic() > self._deadline:
                return response
            disconnects_early = False
            await asyncio.sleep(self._rng.uniform(0.05, 0.5))


async def send(
    operation: Operation, request: Awaitable[httpx.Response], timeout: float
) -> ClientResponse:
    """Send one request and disconnect after `timeout` seconds; return the response."""
    try:
        async with asyncio.timeout(timeout):
            response = await request
            body: dict[str, Any] = response.json()
    except (httpx.TransportError, TimeoutError, ValueError):
        return ClientResponse(operation, None)
    if response.status_code not in (HTTPStatus.OK, HTTPStatus.CREATED):
        return ClientResponse(operation, response.status_code, str(body.get("error", "")))
    return ClientResponse(
        operation,
        response.status_code,
        booking_id=body["id"],
        booking_status=body["status"],
        tickets=frozenset(ticket["id"] for ticket in body["tickets"]),
    )
