"""The first signal starts a drain; the second ends the process at once."""

import signal
import subprocess
import sys

PROGRAM = """
import asyncio, sys
from goticket_platform.lifecycle import run
from goticket_platform.logs import configure_logging

configure_logging("example")

async def main(stop):
    print("up", flush=True)
    await stop.wait()
    if "blocked" in sys.argv:
        print("draining", flush=True)
        await asyncio.sleep(3600)
    print("drained", flush=True)

run(main)
"""


def start(*arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_a_process_drains_after_sigterm_and_exits_with_0() -> None:
    with start() as process:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == ("drained\n", 0)


def test_a_second_signal_ends_a_blocked_process() -> None:
    with start("blocked") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "draining\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 1
