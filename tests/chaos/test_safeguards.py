"""The checker can fail: with one safeguard switched off, each run breaks a promise and is caught.

No switch for that exists in the services; the programs in `unsafe/` patch them from outside.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest
from goticket_testing.chaos.crowd import Crowd, Sale
from goticket_testing.chaos.faults import Fault, Kind, Saboteur, redeliver
from goticket_testing.chaos.run import people_of, put_on_sale, settled_violations
from goticket_testing.chaos.stack import SECOND_BOOKING, ChaosStack

UNSAFE = Path(__file__).parent / "unsafe"
NEVER_OVERSOLD = "inventory_never_oversold"
ROUNDS = 5
"""Events that may be sold before one is oversold; the first is, nearly always."""

pytestmark = pytest.mark.timeout(200)


@contextmanager
def unsafe(stack: ChaosStack, program: str, *names: str) -> Iterator[None]:
    """Let processes run another program, with the same settings and arguments."""
    processes = [stack.process(name) for name in names]
    safe = [process.argv for process in processes]
    try:
        for process in processes:
            process.stop()
            process.argv = [sys.executable, str(UNSAFE / program), *process.argv[1:]]
        stack.start(*names)
        yield
    finally:
        for process, argv in zip(processes, safe, strict=True):
            process.kill()
            process.argv = argv
        stack.heal()


@asynccontextmanager
async def without_check(stack: ChaosStack) -> AsyncIterator[None]:
    """Take the constraint off the stock; what was oversold meanwhile stays."""
    connection = await asyncpg.connect(stack.superuser_url(), timeout=20)
    try:
        await connection.execute(f"ALTER TABLE booking.inventory DROP CONSTRAINT {NEVER_OVERSOLD}")
        yield
        await connection.execute(
            f"ALTER TABLE booking.inventory ADD CONSTRAINT {NEVER_OVERSOLD}"
            " CHECK (sold + held <= capacity) NOT VALID"
        )
    finally:
        await connection.close()


class Scene:
    """A crowd on some sales, and what is wrong with them later."""

    def __init__(self, stack: ChaosStack, sales: Sequence[Sale], size: int, pause: float) -> None:
        self.stack = stack
        self.saboteur = Saboteur(stack, print)
        people = people_of(stack)
        self.crowd = Crowd(1, stack.doors, people, sales, size=size, pause=pause, holds=0)

    async def violations(self, seconds: float) -> list[str]:
        """Return what is still wrong after so many seconds."""
        crowd = self.crowd
        return await settled_violations(
            self.stack, crowd.orders, crowd.sales, self.saboteur, seconds
        )


async def scene(
    stack: ChaosStack, capacities: Sequence[int], *, size: int = 12, pause: float = 0.1
) -> Scene:
    """Put events on sale to a crowd."""
    await asyncio.to_thread(stack.heal)
    sales = await put_on_sale(stack, people_of(stack), capacities)
    return Scene(stack, sales, size, pause)


def about(sentence: str, violations: Sequence[str]) -> list[str]:
    """Return the violations that say so."""
    return [each for each in violations if sentence in each]


async def test_without_row_locks_and_check_the_harness_sees_overselling(
    chaos_stack: ChaosStack,
) -> None:
    rush = await scene(chaos_stack, [50] * ROUNDS)
    async with without_check(chaos_stack):
        with unsafe(chaos_stack, "booking_without_locks.py", "booking serve", SECOND_BOOKING):
            for sale in rush.crowd.sales:
                await rush.crowd.rush(sale, 80, seconds=6)
                if about("oversold", await rush.violations(0)):
                    return
    pytest.fail(f"nobody oversold in {ROUNDS} rounds")


async def test_without_the_inbox_the_harness_sees_letters_that_come_twice(
    chaos_stack: ChaosStack,
) -> None:
    sale = await scene(chaos_stack, [10_000, 50], size=4)
    with unsafe(chaos_stack, "notification_without_inbox.py", "notification worker"):
        await sale.crowd.run(2)
        assert await sale.violations(60) == []
        await redeliver(chaos_stack.amqp_url)

        async def caught() -> list[str]:
            while not (found := about("came twice", await sale.violations(0))):
                await asyncio.sleep(0.5)
            return found

        assert await asyncio.wait_for(caught(), 60)


async def test_without_confirms_the_harness_sees_lost_events_and_letters(
    chaos_stack: ChaosStack,
) -> None:
    sale = await scene(chaos_stack, [10_000, 50], size=6)
    with unsafe(chaos_stack, "relay_without_confirms.py", "booking relay"):
        crowd = asyncio.create_task(sale.crowd.run(3))
        await asyncio.sleep(1.5)
        await sale.saboteur.inflict(Fault(1.5, "booking relay", Kind.KILL, 0.1))
        await crowd
        async with asyncio.timeout(90):
            while about("outbox", await sale.violations(0)):
                await asyncio.sleep(0.5)
        # What the relay still holds back arrives meanwhile; what it lost does not.
        wrong = await sale.violations(5)
    assert about("has 0 confirmed events", wrong)
    assert about("nothing was ever told of the confirmed booking", wrong)
