"""One run: events on sale, a crowd, faults; then heal, wait until all has settled, and judge."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from goticket_testing.chaos.checker import beyond_mending, violations
from goticket_testing.chaos.complaints import complaints
from goticket_testing.chaos.crowd import Crowd, Sale
from goticket_testing.chaos.plan import plan
from goticket_testing.chaos.records import Order
from goticket_testing.chaos.saboteur import Saboteur
from goticket_testing.chaos.snapshot import read_snapshot
from goticket_testing.chaos.stack import ChaosStack
from goticket_testing.chaos.witness import watching
from goticket_testing.world import People, create_event

CALM_SECONDS = 5.0
"""How long the load runs before the first fault: the broker's new queues settle meanwhile."""
MOST = 40
"""Lines of one kind that a report shows."""
SETTLE_SECONDS = 200.0
"""How long outboxes, queues and holds may take to come to rest: a letter that failed four
times waits for two minutes."""


@dataclass
class Report:
    """How a run goes; it can be read at any time, however the run ends."""

    seed: int
    seconds: float
    timeline: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    violations: list[str] | None = None
    """None: it was never judged."""
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        wrong = self.violations or []
        lines = [
            f"chaos: seed {self.seed}, {self.seconds:.0f} seconds",
            *self.timeline,
            f"clients: {tally(self.orders)}",
            "never judged" if self.violations is None else f"violations: {len(wrong)}",
            *(f"  {each}" for each in wrong[:MOST]),
            f"errors in the logs: {len(self.complaints)} kinds",
            *(f"  {each}" for each in self.complaints[:MOST]),
        ]
        return "\n".join(lines)


def tally(orders: Sequence[Order]) -> str:
    """Count what clients were told."""
    told = Counter(
        f"{told.step} {told.status or 'unanswered'} {told.code}".strip()
        for order in orders
        for told in order.told
    )
    return f"{len(orders)} orders; " + ", ".join(f"{n} {what}" for what, n in sorted(told.items()))


def people_of(stack: ChaosStack) -> People:
    """Whom the stack's identity would vouch for."""
    settings = stack.environment("identity serve")
    return People(
        settings["IDENTITY_SIGNING_KEY"], settings["IDENTITY_ISSUER"], settings["IDENTITY_AUDIENCE"]
    )


async def put_on_sale(stack: ChaosStack, people: People, capacities: Sequence[int]) -> list[Sale]:
    """Create an event for each capacity; every third has two ticket types of half of it."""
    organizer = people.person("organizer")
    sales = []
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=30) as api:
        for number, capacity in enumerate(capacities):
            body: dict[str, object] = {"capacity": capacity}
            if number % 3 == 2:
                half = {"price": 1000, "capacity": capacity // 2}
                kinds = [{"name": name, **half} for name in ("Floor", "Balcony")]
                body = {"ticketTypes": kinds, "capacity": capacity // 2 * 2, "price": 1000}
            event = await create_event(api, organizer, **body)
            types = tuple(kind["id"] for kind in event["ticketTypes"])
            sales.append(Sale(event["id"], types))
    return sales


async def run_chaos(stack: ChaosStack, report: Report, say: Callable[[str], None]) -> None:
    """Run as the report's seed says, for its seconds in all; tell the report of everything."""
    seed, seconds = report.seed, report.seconds
    people = people_of(stack)
    small = max(4, int(seconds / 5))
    sales = await put_on_sale(stack, people, [100_000, *(20 + 10 * (n % 5) for n in range(small))])
    saboteur = Saboteur(stack, say, report.timeline)
    faults = plan(seed, seconds - CALM_SECONDS, list(stack.services))
    crowd = Crowd(seed, stack.doors, people, sales, orders=report.orders)

    async def sabotage() -> None:
        await asyncio.sleep(CALM_SECONDS)
        await saboteur.run(faults)
        await saboteur.heal()

    async with watching(stack, {sale.event_id for sale in sales}) as oversold:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crowd.run(seconds))
            tasks.create_task(sabotage())
        saboteur.note("the last client has its answer")
        wrong = await settled_violations(stack, crowd.orders, sales, saboteur)
    saboteur.note("judged")
    logs = [stack.process(name).log for name in stack.services]
    report.complaints = await asyncio.to_thread(complaints, logs)
    report.violations = [*saboteur.deserters, *sorted(oversold), *wrong]


async def settled_violations(
    stack: ChaosStack,
    orders: Sequence[Order],
    sales: Sequence[Sale],
    saboteur: Saboteur,
) -> list[str]:
    """Judge again and again until nothing is wrong that time may mend, or time is up."""
    lasting = set(beyond_mending(orders))
    events = {sale.event_id for sale in sales}
    addresses = {order.buyer_email for order in orders}
    deadline = time.monotonic() + SETTLE_SECONDS
    before = 0
    while True:
        found = await read_snapshot(stack, events, addresses)
        wrong = violations(orders, found, saboteur.disturbances)
        if lasting.issuperset(wrong) or time.monotonic() > deadline:
            return wrong
        if len(wrong) != before:
            before = len(wrong)
            saboteur.note(f"{before} things not settled yet, such as: {wrong[0]}")
        await asyncio.sleep(1.0)
