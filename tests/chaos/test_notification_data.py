"""Notification reads buyers and codes from booking when it sends; an outage delays e-mails only."""

import asyncio
import time

import pytest
from goticket_contracts import event_types
from goticket_testing.chaos.plan import NOTIFICATION_DATA_PROXY, Fault, FaultKind
from goticket_testing.chaos.stack import BOOKING, SECOND_GATEWAY, ChaosStack
from goticket_testing.chaos.trial import start_trial

LOAD_SECONDS = 2.0
FAULT_SECONDS = 6.0

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (BOOKING, FaultKind.KILL),
        (BOOKING, FaultKind.FREEZE),
        (NOTIFICATION_DATA_PROXY, FaultKind.REFUSE),
        (NOTIFICATION_DATA_PROXY, FaultKind.DELAY),
    ],
    ids=["killed", "frozen", "cut off", "slow"],
)
async def test_every_confirmed_booking_gets_its_email_after_an_outage_of_booking(
    chaos_stack: ChaosStack, target: str, kind: FaultKind
) -> None:
    trial = await start_trial(chaos_stack, [10_000])
    # The second gateway uses the second booking server, so bookings succeed during the fault.
    second_gateway = chaos_stack.process(SECOND_GATEWAY).env["GATEWAY_LISTEN"]
    trial.load.gateway_urls = (f"http://{second_gateway}",)
    fault = Fault(0, target, kind, FAULT_SECONDS)
    injected = asyncio.create_task(trial.injector.inject(fault))
    await trial.load.run(LOAD_SECONDS)
    await injected
    over = time.time()
    await trial.wait_until_settled()
    snapshot = await trial.snapshot()
    assert [m for m in snapshot.event_log if m.type == event_types.BOOKING_CONFIRMED]
    if kind is not FaultKind.DELAY:
        late = [email for email in snapshot.emails if email.at > over - 1]
        assert late, "no e-mail had to wait for booking, so the fault had no effect"
