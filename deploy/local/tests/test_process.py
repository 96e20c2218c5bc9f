"""Processes that outlive their starter, and their pid files."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import Event, Thread

import grpc
import pytest
from goticket_local.process import Identity, Process, StartFailed, wait_until
from goticket_local.reaper import attach
from goticket_local.servers.base import minimal_environment
from goticket_local.servers.postgres import ACCOUNT
from goticket_local.supervisor import supervise

IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started", flush=True)
time.sleep(600)
"""
SESSION = """
import os, signal, sys
from pathlib import Path
from goticket_local import reaper
from goticket_local.process import Process
folder = Path(sys.argv[1])
watch = reaper.attach(folder)
orphan = Process(
    "orphan", ["sleep", "600"], env=os.environ, run_dir=folder / "run", log=folder / "log"
)
orphan.start()
print(orphan.pid, watch.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
PARENT = "import subprocess; print('parent', flush=True); subprocess.run(['sleep', '600'])"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator["Processes"]:
    started = Processes(tmp_path)
    yield started
    for process in started.made:
        process.kill()


class Processes:
    """Makes processes in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Process] = []

    def make(self, *argv: str, name: str = "some service", user: str | None = None) -> Process:
        process = Process(
            name,
            argv,
            env=minimal_environment(),
            run_dir=self.folder / "run",
            log=self.folder / f"{name}.log",
            user=user,
        )
        self.made.append(process)
        return process

    def python(self, program: str) -> Process:
        return self.make(sys.executable, "-c", program)


def runs(process: Process, program: str) -> bool:
    def running() -> str | None:
        pid = process.pid
        return Path(f"/proc/{pid}/comm").read_text().strip() if pid else None

    return wait_until(lambda: running() == program, 20)


def has_logged(process: Process, word: str) -> bool:
    return wait_until(lambda: word in process.log_tail(), 20)


def test_a_process_is_found_again_by_its_pid_file(processes: Processes) -> None:
    process = processes.make("sleep", "600")
    process.start()
    again = processes.make("sleep", "600")
    assert again.pid == process.pid
    again.start()
    assert again.pid == process.pid
    assert Process.at(process.pid_file).alive


def test_a_pid_file_of_a_reused_pid_is_ignored(processes: Processes) -> None:
    process = processes.make("sleep", "600")
    mine = Identity.of(os.getpid())
    assert mine is not None
    process.pid_file.parent.mkdir()
    # This process's pid with another start time, as after the reuse of a pid.
    process.pid_file.write_text(str(Identity(mine.pid, mine.started - 1, mine.boot)))
    assert not process.alive
    process.kill(signal.SIGTERM)  # had it reached us, this test would not go on
    process.stop()
    assert not process.pid_file.exists()


@pytest.mark.parametrize("content", ["", "17", "seventeen 1 2", "1 2 3 4"])
def test_a_damaged_pid_file_is_ignored(processes: Processes, content: str) -> None:
    process = processes.make("sleep", "600")
    process.pid_file.parent.mkdir()
    process.pid_file.write_text(content)
    assert process.pid is None


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(
    processes: Processes,
) -> None:
    process = processes.python(IGNORES_SIGTERM)
    process.start()
    assert has_logged(process, "started")
    assert process.stop(grace_seconds=0.2) is False
    assert not process.alive
    assert process.exit_code == -signal.SIGKILL


def test_a_stopped_process_has_an_exit_code(processes: Processes) -> None:
    process = processes.make("sleep", "600")
    process.start()
    assert process.stop() is True
    assert process.exit_code == -signal.SIGTERM


def test_a_kill_includes_the_children(processes: Processes) -> None:
    process = processes.python(PARENT)
    process.start()
    assert has_logged(process, "parent")

    def children() -> list[str]:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        return listed.split()

    assert wait_until(lambda: len(children()) == 1, 20)
    (child,) = children()
    process.kill()
    assert Identity.of(int(child)) is None


def test_a_missing_program_is_an_error(processes: Processes) -> None:
    with pytest.raises((StartFailed, FileNotFoundError)):
        processes.make("/no/such/program").start()


@pytest.mark.usefixtures("grpc_calls")
async def test_a_process_starts_as_another_account_while_other_threads_are_in_grpc_calls(
    processes: Processes,
) -> None:
    for number in range(40):
        process = processes.make("sleep", "600", name=f"sleeper {number}", user=ACCOUNT)
        await asyncio.to_thread(process.start)
        assert runs(process, "sleep"), process.log_tail()
        await asyncio.to_thread(process.kill)


@pytest.fixture
async def grpc_calls() -> AsyncIterator[None]:
    """Calls without a pause, over a server and a channel of this process."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def call(method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]) -> None:
        while True:
            with contextlib.suppress(grpc.RpcError):
                await method(b"")

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        callers = [asyncio.create_task(call(channel.unary_unary("/any/Method"))) for _ in range(4)]
        yield
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
    await server.stop(grace=None)


def test_the_tail_of_a_log_begins_at_the_last_start(processes: Processes) -> None:
    process = processes.python("print('before', flush=True); import time; time.sleep(600)")
    process.start()
    assert has_logged(process, "before")
    process.kill()
    process.argv = ["sleep", "600"]
    process.start()
    assert process.log_tail() == ""
    assert "before" in process.log.read_text()


def test_the_processes_of_a_killed_session_are_reaped(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    done = subprocess.run(
        [sys.executable, "-c", SESSION, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    orphan, watch = map(int, done.stdout.split())
    assert wait_until(lambda: Identity.of(orphan) is None, 30)
    assert wait_until(lambda: Identity.of(watch) is None, 30)
    assert not folder.exists()


def test_a_session_that_ends_normally_leaves_no_reaper(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    with attach(folder) as reaper:
        assert Identity.of(reaper.pid) is not None
    assert Identity.of(reaper.pid) is None
    assert not folder.exists()


def test_a_crashed_process_is_restarted(processes: Processes) -> None:
    process = processes.make("sleep", "600")
    process.start()
    crashed = process.pid
    assert crashed is not None
    reports: list[str] = []
    stop = Event()
    watch = Thread(target=supervise, args=([process], reports.append, stop))
    watch.start()
    try:
        os.kill(crashed, signal.SIGKILL)
        assert wait_until(lambda: process.pid not in {None, crashed}, 20)
        assert reports == ["some service has ended; restarting it"]
    finally:
        stop.set()
        watch.join()
