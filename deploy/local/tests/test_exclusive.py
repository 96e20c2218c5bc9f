"""Commands of one checkout run one after another."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from goticket_local.exclusive import CheckoutBusy, exclusive

HOLD = """
import sys
from pathlib import Path
from goticket_local.exclusive import exclusive
with exclusive(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_command_waits_and_says_for_which_process(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with hold(file) as holder:
        reports: list[str] = []
        waits = threading.Event()

        def report(text: str) -> None:
            reports.append(text)
            waits.set()

        def run() -> None:
            with exclusive(file, report):
                reports.append("runs")

        second = threading.Thread(target=run)
        second.start()
        assert waits.wait(30)
        assert reports == [
            f"Another command of this checkout runs (pid {holder.pid}); waiting for it ..."
        ]
        holder.communicate()
        second.join(30)
    assert reports[1:] == ["runs"]


def test_a_second_command_gives_up_after_its_time_limit(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with hold(file) as holder:
        with (
            pytest.raises(CheckoutBusy, match=rf"\(pid {holder.pid}\); gave up after 0.2 s"),
            exclusive(file, print, wait_seconds=0.2),
        ):
            pass
        holder.communicate()


def test_a_killed_command_leaves_no_lock(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with hold(file) as holder:
        holder.kill()
        holder.wait()
    with exclusive(file, print, wait_seconds=0.2):
        pass
