"""The harness can fail: with one safeguard off, a promise is broken and the harness says so.

Each run is aimed at its safeguard. With all of them on, `test_chaos.py` finds nothing. Where two
safeguards back each other up, as the CHECK and the row locks do, both are off.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from goticket_testing.chaos.checker import violations
from goticket_testing.chaos.crowd import Crowd, Sale
from goticket_testing.chaos.plan import EVENTS, Fault, Kind
from goticket_testing.chaos.run import people_of, put_on_sale
from goticket_testing.chaos.saboteur import Saboteur
from goticket_testing.chaos.safeguards import forgetful, replaced, without_check
from goticket_testing.chaos.snapshot import read_snapshot
from goticket_testing.chaos.stack import SECOND_BOOKING, ChaosStack
from goticket_testing.chaos.witness import watching

UNSAFE = Path(__file__).parent / "unsafe"
BOOKINGS = ("booking serve", SECOND_BOOKING)
LOAD_SECONDS = 2.0
"""How long clients order; each does so once at least, however slow the machine."""
RUSHES = 3
"""Events that are sold out by a rush; the first is oversold, nearly always."""
CATCH_SECONDS = 90.0
"""How long what is wrong may take to show, where it has to arrive somewhere."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@dataclass
class Scene:
    """A crowd on some events, and what is wrong with them."""

    stack: ChaosStack
    sales: Sequence[Sale]
    crowd: Crowd
    saboteur: Saboteur = field(init=False)

    def __post_init__(self) -> None:
        self.saboteur = Saboteur(self.stack, print)

    async def wrong(self) -> list[str]:
        """Return what the harness finds just now."""
        orders = self.crowd.orders
        found = await read_snapshot(
            self.stack, {sale.event_id for sale in self.sales}, {o.buyer_email for o in orders}
        )
        return violations(orders, found, self.saboteur.disturbances)

    async def rush(self, sale: Sale) -> None:
        """Let everybody want the same at once."""
        await replace(self.crowd, sales=[sale]).run(0.1)

    async def find(self, sentence: str) -> None:
        """Wait until the harness says so."""
        await self._until(lambda wrong: says(sentence, wrong), f"never said: {sentence}")

    async def relayed(self) -> None:
        """Wait until nothing is left to be published."""
        await self._until(lambda wrong: not says(".outbox", wrong), "never all published")

    async def _until(self, holds: Callable[[list[str]], bool], failure: str) -> None:
        deadline = time.monotonic() + CATCH_SECONDS
        while not holds(wrong := await self.wrong()):
            assert time.monotonic() < deadline, f"{failure}; but {wrong}"
            await asyncio.sleep(0.3)


def says(sentence: str, wrong: Sequence[str]) -> bool:
    """Whether one of the complaints is about that."""
    return any(sentence in each for each in wrong)


async def scene(
    stack: ChaosStack, capacities: Sequence[int], *, size: int = 8, twins: float = 0.0
) -> Scene:
    """Put events on sale to a crowd that takes no holds."""
    await asyncio.to_thread(stack.heal)
    people = people_of(stack)
    sales = await put_on_sale(stack, people, capacities)
    return Scene(
        stack, sales, Crowd(1, stack.doors, people, sales, size, pause=0.3, holds=0, twins=twins)
    )


async def test_without_row_locks_and_check_it_sees_overselling(chaos_stack: ChaosStack) -> None:
    few = await scene(chaos_stack, [12] * RUSHES, size=16)
    events = [sale.event_id for sale in few.sales]
    async with without_check(chaos_stack), watching(chaos_stack, events) as oversold:
        with replaced(chaos_stack, UNSAFE / "booking_without_locks.py", *BOOKINGS):
            for sale in few.sales:
                await few.rush(sale)
        await few.find("oversold: ")
    assert says("oversold for a moment", sorted(oversold))


async def test_without_idempotency_keys_it_sees_retries_that_book_twice(
    chaos_stack: ChaosStack,
) -> None:
    many = await scene(chaos_stack, [10_000], size=12, twins=1.0)
    async with forgetful(chaos_stack, booking__idempotency_keys="booking_id"):
        await many.crowd.run(LOAD_SECONDS)
    await many.find("has 2 bookings for one key")


async def test_without_the_inbox_it_sees_letters_that_come_twice(chaos_stack: ChaosStack) -> None:
    many = await scene(chaos_stack, [10_000])
    async with forgetful(
        chaos_stack, notification__inbox="event_id", notification__deliveries="event_id"
    ):
        await many.crowd.run(LOAD_SECONDS)
        await many.saboteur.inflict(Fault(0, EVENTS, Kind.REDELIVER, 0))
        await many.find("came twice without a reason")


async def test_without_confirms_it_sees_confirmed_bookings_nobody_was_told_of(
    chaos_stack: ChaosStack,
) -> None:
    many = await scene(chaos_stack, [10_000])
    with replaced(chaos_stack, UNSAFE / "relay_without_confirms.py", "booking relay"):
        await many.crowd.run(LOAD_SECONDS)
    # Leaving kills it. What the outbox still has will arrive; what was let go too early will not.
    await many.relayed()
    wrong = await many.wrong()
    assert says("has 0 confirmed events", wrong)
    assert says("nothing was ever told of the confirmed booking", wrong)


async def test_without_answers_after_the_commit_it_sees_granted_bookings_that_are_gone(
    chaos_stack: ChaosStack,
) -> None:
    many = await scene(chaos_stack, [10_000])
    with replaced(chaos_stack, UNSAFE / "booking_answering_early.py", *BOOKINGS):
        await many.crowd.run(LOAD_SECONDS)
    # Leaving kills them.
    await many.find("which is not there")
