"""A short load on new events, for a test of one fault or of one disabled safeguard."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from goticket_testing.chaos.checker import violations
from goticket_testing.chaos.fault_injector import FaultInjector
from goticket_testing.chaos.load_generator import EventOnSale, LoadGenerator
from goticket_testing.chaos.records import Snapshot
from goticket_testing.chaos.run import create_events, user_factory
from goticket_testing.chaos.snapshot import read_snapshot
from goticket_testing.chaos.stack import ChaosStack

DEADLINE_SECONDS = 90.0
"""Time limit until a violation appears or disappears."""


@dataclass
class Trial:
    """Clients, their events, and the checks of both."""

    stack: ChaosStack
    events: Sequence[EventOnSale]
    load: LoadGenerator
    injector: FaultInjector = field(init=False)

    def __post_init__(self) -> None:
        self.injector = FaultInjector(self.stack, print)

    async def snapshot(self) -> Snapshot:
        """Return the present state of the events."""
        return await read_snapshot(
            self.stack,
            {event.event_id for event in self.events},
            {purchase.buyer_email for purchase in self.load.purchases},
        )

    async def violations(self) -> list[str]:
        """Return the present violations."""
        found = await self.snapshot()
        return violations(self.load.purchases, found, self.injector.duplicate_windows)

    async def wait_for(self, sentence: str) -> None:
        """Wait until a violation contains `sentence`."""
        await self._wait_until(
            lambda found: contains(sentence, found), f"was never reported: {sentence}"
        )

    async def wait_until_relayed(self) -> None:
        """Wait until every outbox is empty."""
        await self._wait_until(
            lambda found: not contains(".outbox", found), "messages remain in an outbox"
        )

    async def wait_until_settled(self) -> None:
        """Wait until there is no violation."""
        await self._wait_until(lambda found: not found, "violations remain")

    async def _wait_until(self, holds: Callable[[list[str]], bool], failure: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds(found := await self.violations()):
            assert time.monotonic() < deadline, f"{failure}; found {found}"
            await asyncio.sleep(0.3)


def contains(sentence: str, found: Sequence[str]) -> bool:
    """Whether one of the violations contains `sentence`."""
    return any(sentence in each for each in found)


async def start_trial(
    stack: ChaosStack,
    capacities: Sequence[int],
    *,
    clients: int = 8,
    duplicate_share: float = 0.0,
) -> Trial:
    """Create events and clients that book them without holds."""
    await asyncio.to_thread(stack.heal)
    users = user_factory(stack)
    events = await create_events(stack, users, capacities)
    load = LoadGenerator(
        1,
        stack.gateway_urls,
        users,
        events,
        clients,
        max_pause=0.3,
        hold_share=0,
        duplicate_share=duplicate_share,
    )
    return Trial(stack, events, load)
