"""The fixture `stack`: the running system."""

import subprocess

import httpx
from goticket_local.quickstart import example_session
from goticket_testing.stack import RunningStack


def test_every_process_of_the_system_is_ready(stack: RunningStack) -> None:
    # Other tests share the system and may have stopped processes. `heal` waits until each
    # process is ready, and raises after a deadline.
    stack.heal()
    assert httpx.get(f"{stack.base_url}/readyz").status_code == 200


def test_a_killed_process_can_be_started_again(stack: RunningStack) -> None:
    before = stack.process("booking relay").pid
    stack.kill("booking relay")
    assert not stack.process("booking relay").alive
    stack.start("booking relay")
    assert stack.process("booking relay").pid != before


def test_a_stopped_process_exits_with_0(stack: RunningStack) -> None:
    assert stack.stop("booking sweeper") == 0
    stack.start("booking sweeper")


def test_heal_starts_killed_processes_and_servers(stack: RunningStack) -> None:
    stack.kill("gateway serve")
    stack.redis.kill()
    stack.heal()
    assert httpx.get(f"{stack.base_url}/readyz").status_code == 200


def test_the_session_that_make_up_prints_ends_with_a_mail_in_the_mailbox(
    stack: RunningStack,
) -> None:
    script = example_session(stack.base_url, stack.mailbox.url)
    done = subprocess.run(["bash", "-e", "-c", script], capture_output=True, text=True, check=True)
    assert '"status": "confirmed"' in done.stdout
    assert '"available": 998' in done.stdout
    assert done.stdout.endswith("Your tickets for Metallica Live\n")
