"""The checks can fail: without one safeguard an invariant breaks, and the checks report it.

Each run disables one safeguard. With all of them, `test_chaos.py` finds no violation. Where two
safeguards back each other up, as the CHECK and the row locks do, both are disabled.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from goticket_testing.chaos.disabled_safeguards import (
    deleting_new_rows,
    forgetting_deliveries,
    replaced,
    without_check,
)
from goticket_testing.chaos.invariant_monitor import monitor_inventory
from goticket_testing.chaos.load_generator import EventOnSale
from goticket_testing.chaos.plan import EVENT_LOG, Fault, FaultKind
from goticket_testing.chaos.stack import BOOKING, SECOND_BOOKING, ChaosStack
from goticket_testing.chaos.trial import Trial, contains, start_trial

UNSAFE = Path(__file__).parent / "unsafe"
BOOKINGS = (BOOKING, SECOND_BOOKING)
LOAD_SECONDS = 2.0
"""Duration of the load; each client books at least once, however slow the machine."""
RUSHES = 3
"""Events that are sold out at once; nearly always the first is oversold already."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


async def rush(trial: Trial, event: EventOnSale) -> None:
    """Let every client request the same event at once."""
    await replace(trial.load, events=[event]).run(0.1)


async def test_without_row_locks_and_check_overselling_is_reported(
    chaos_stack: ChaosStack,
) -> None:
    trial = await start_trial(chaos_stack, [12] * RUSHES, clients=16)
    events = [event.event_id for event in trial.events]
    async with without_check(chaos_stack), monitor_inventory(chaos_stack, events) as oversold:
        with replaced(chaos_stack, UNSAFE / "booking_without_locks.py", *BOOKINGS):
            for event in trial.events:
                await rush(trial, event)
        await trial.wait_for("oversold: ")
    assert contains("temporarily oversold", sorted(oversold))


async def test_without_idempotency_keys_duplicate_bookings_are_reported(
    chaos_stack: ChaosStack,
) -> None:
    trial = await start_trial(chaos_stack, [10_000], clients=12, duplicate_share=1.0)
    async with deleting_new_rows(chaos_stack, booking__idempotency_keys="booking_id"):
        await trial.load.run(LOAD_SECONDS)
    await trial.wait_for("has 2 bookings for one key")


async def test_without_deliveries_repeated_emails_are_reported(
    chaos_stack: ChaosStack,
) -> None:
    trial = await start_trial(chaos_stack, [10_000])
    async with forgetting_deliveries(chaos_stack):
        await trial.load.run(LOAD_SECONDS)
        await trial.injector.inject(Fault(0, EVENT_LOG, FaultKind.REDELIVER, 0))
        await trial.wait_for("was sent twice without a fault")


async def test_without_publisher_confirms_lost_messages_are_reported(
    chaos_stack: ChaosStack,
) -> None:
    trial = await start_trial(chaos_stack, [10_000])
    with replaced(chaos_stack, UNSAFE / "relay_without_confirms.py", "booking relay"):
        await trial.load.run(LOAD_SECONDS)
    # The end of the block kills the relay. Rows of the outbox are published by the real one;
    # rows that were deleted too early are lost.
    await trial.wait_until_relayed()
    found = await trial.violations()
    assert contains("has 0 confirmed messages", found)
    assert contains("no message was published about the confirmed booking", found)


async def test_with_answers_before_the_commit_lost_bookings_are_reported(
    chaos_stack: ChaosStack,
) -> None:
    trial = await start_trial(chaos_stack, [10_000])
    with replaced(chaos_stack, UNSAFE / "booking_answering_early.py", *BOOKINGS):
        await trial.load.run(LOAD_SECONDS)
    # The end of the block kills both.
    await trial.wait_for("it is not stored")
