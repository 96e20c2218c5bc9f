"""One chaos run: load and faults, recovery, then checks until the system has settled."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from goticket_testing.chaos.checker import permanent_violations, violations
from goticket_testing.chaos.fault_injector import FaultInjector
from goticket_testing.chaos.invariant_monitor import monitor_inventory
from goticket_testing.chaos.load_generator import EventOnSale, LoadGenerator
from goticket_testing.chaos.log_errors import log_errors
from goticket_testing.chaos.plan import plan
from goticket_testing.chaos.records import Purchase
from goticket_testing.chaos.snapshot import read_snapshot
from goticket_testing.chaos.stack import ChaosStack
from goticket_testing.clients import ApiUserFactory, create_event

WARM_UP_SECONDS = 5.0
"""The load runs for this long before the first fault, so that the broker's new queues settle."""
MAX_LINES = 40
"""Lines of one kind that a report shows."""
SETTLE_SECONDS = 200.0
"""Time limit until outboxes, queues and holds are drained. The fourth retry of a failed message
waits for two minutes."""


@dataclass
class Report:
    """The report of a run. It is readable at any time, even if the run fails."""

    seed: int
    seconds: float
    timeline: list[str] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    violations: list[str] | None = None
    """None until the run was checked."""
    log_errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = self.violations or []
        lines = [
            f"chaos: seed {self.seed}, {self.seconds:.0f} seconds",
            *self.timeline,
            f"clients: {response_counts(self.purchases)}",
            "not checked" if self.violations is None else f"violations: {len(found)}",
            *(f"  {each}" for each in found[:MAX_LINES]),
            f"errors in the logs: {len(self.log_errors)} kinds",
            *(f"  {each}" for each in self.log_errors[:MAX_LINES]),
        ]
        return "\n".join(lines)


def response_counts(purchases: Sequence[Purchase]) -> str:
    """Count the responses to clients by operation, status and code."""
    counts = Counter(
        f"{each.operation} {each.status or 'without response'} {each.code}".strip()
        for purchase in purchases
        for each in purchase.responses
    )
    return f"{len(purchases)} purchases; " + ", ".join(
        f"{count} {what}" for what, count in sorted(counts.items())
    )


def user_factory(stack: ChaosStack) -> ApiUserFactory:
    """Return a factory of users whose tokens the stack accepts."""
    settings = stack.environment("identity serve")
    return ApiUserFactory(
        settings["IDENTITY_SIGNING_KEY"], settings["IDENTITY_ISSUER"], settings["IDENTITY_AUDIENCE"]
    )


async def create_events(
    stack: ChaosStack, users: ApiUserFactory, capacities: Sequence[int]
) -> list[EventOnSale]:
    """Create an event per capacity; every third has two ticket types with half of it each."""
    organizer = users.create("organizer")
    events = []
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=30) as api:
        for number, capacity in enumerate(capacities):
            body: dict[str, object] = {"capacity": capacity}
            if number % 3 == 2:
                half = {"price": 1000, "capacity": capacity // 2}
                kinds = [{"name": name, **half} for name in ("Floor", "Balcony")]
                body = {"ticketTypes": kinds, "capacity": capacity // 2 * 2, "price": 1000}
            event = await create_event(api, organizer, **body)
            types = tuple(kind["id"] for kind in event["ticketTypes"])
            events.append(EventOnSale(event["id"], types))
    return events


async def run_chaos(stack: ChaosStack, report: Report, log: Callable[[str], None]) -> None:
    """Run with the seed and duration of the report, and fill in the report."""
    seed, seconds = report.seed, report.seconds
    users = user_factory(stack)
    small = max(4, int(seconds / 5))
    capacities = [100_000, *(20 + 10 * (n % 5) for n in range(small))]
    events = await create_events(stack, users, capacities)
    injector = FaultInjector(stack, log, report.timeline)
    faults = plan(seed, seconds - WARM_UP_SECONDS, list(stack.process_configs))
    load = LoadGenerator(seed, stack.gateway_urls, users, events, purchases=report.purchases)

    async def inject_and_heal() -> None:
        await asyncio.sleep(WARM_UP_SECONDS)
        await injector.run(faults)
        await injector.heal()

    async with monitor_inventory(stack, {event.event_id for event in events}) as oversold:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(seconds))
            tasks.create_task(inject_and_heal())
        injector.record("every client has its final response")
        found = await settled_violations(stack, load.purchases, events, injector)
    injector.record("checked")
    logs = [stack.process(name).log for name in stack.process_configs]
    report.log_errors = await asyncio.to_thread(log_errors, logs)
    report.violations = [*injector.unexpected_exits, *sorted(oversold), *found]


async def settled_violations(
    stack: ChaosStack,
    purchases: Sequence[Purchase],
    events: Sequence[EventOnSale],
    injector: FaultInjector,
) -> list[str]:
    """Check repeatedly until only permanent violations remain, or `SETTLE_SECONDS` are over."""
    permanent = set(permanent_violations(purchases))
    event_ids = {event.event_id for event in events}
    addresses = {purchase.buyer_email for purchase in purchases}
    deadline = time.monotonic() + SETTLE_SECONDS
    before = 0
    while True:
        snapshot = await read_snapshot(stack, event_ids, addresses)
        found = violations(purchases, snapshot, injector.duplicate_windows)
        if permanent.issuperset(found) or time.monotonic() > deadline:
            return found
        if len(found) != before:
            before = len(found)
            injector.record(f"{before} violations are not settled yet, such as: {found[0]}")
        await asyncio.sleep(1.0)
