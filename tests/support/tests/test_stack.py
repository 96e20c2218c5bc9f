"""The system as tests get it."""

import subprocess

import httpx
from goticket_local.quickstart import session
from goticket_testing.stack import RunningStack


def test_every_process_of_the_system_is_ready(stack: RunningStack) -> None:
    # Other tests share the system and may have disturbed it a moment ago; this waits, to
    # a deadline, until each process says that it is ready, and raises when one does not.
    stack.heal()
    assert httpx.get(f"{stack.base_url}/readyz").status_code == 200


def test_a_killed_process_can_be_started_again(stack: RunningStack) -> None:
    before = stack.process("booking relay").pid
    stack.kill("booking relay")
    assert not stack.process("booking relay").alive
    stack.start("booking relay")
    assert stack.process("booking relay").pid != before


def test_a_process_stops_in_order_when_told(stack: RunningStack) -> None:
    assert stack.stop("booking sweeper") == 0
    stack.start("booking sweeper")


def test_what_a_test_breaks_can_be_made_whole_again(stack: RunningStack) -> None:
    stack.kill("gateway serve")
    stack.redis.kill()
    stack.heal()
    assert httpx.get(f"{stack.base_url}/readyz").status_code == 200


def test_the_session_that_make_up_prints_ends_with_a_mail_in_the_inbox(
    stack: RunningStack,
) -> None:
    script = session(stack.base_url, stack.inbox.url)
    done = subprocess.run(["bash", "-e", "-c", script], capture_output=True, text=True, check=True)
    assert '"status": "confirmed"' in done.stdout
    assert '"available": 998' in done.stdout
    assert done.stdout.endswith("Your tickets for Metallica Live\n")
