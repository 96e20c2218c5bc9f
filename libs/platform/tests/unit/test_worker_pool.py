"""Calls in worker processes: bounded, repeated after a death, finished at the end."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable

import psutil  # type: ignore[import-untyped]  # it has no annotations
import pytest
from goticket_platform.worker_pool.pool import NICENESS, CallFailed, PoolBusy, WorkerPool

DEADLINE = 20.0


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool("test", max_waiting=2)
    yield pool
    await pool.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.01)


def processes() -> list[psutil.Process]:
    """Return the worker processes of this test."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE
        and "worker_pool.child" in " ".join(child.cmdline())
    ]


def is_refused(outcomes: Iterable[object]) -> list[bool]:
    return [isinstance(outcome, PoolBusy) for outcome in outcomes]


async def test_a_call_runs_in_a_process_of_low_priority(pool: WorkerPool) -> None:
    pid = await pool.run(os.getpid)

    assert pid != os.getpid()
    assert psutil.Process(pid).nice() == min(19, psutil.Process().nice() + NICENESS)
    assert await pool.run(os.getpid) == pid, "the process is used again"


async def test_an_exception_of_the_function_is_raised_and_the_process_kept(
    pool: WorkerPool,
) -> None:
    pid = await pool.run(os.getpid)

    with pytest.raises(ValueError, match="not defined for negative"):
        await pool.run(math.factorial, -1)

    assert await pool.run(os.getpid) == pid


async def test_large_arguments_and_results_pass(pool: WorkerPool) -> None:
    content = os.urandom(3_000_000)

    assert await pool.run(bytes, content) == content


async def test_calls_beyond_the_queue_are_refused_at_once(pool: WorkerPool) -> None:
    calls = [pool.run(time.sleep, 0.2) for _ in range(5)]

    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert is_refused(outcomes) == [False, False, False, True, True]
    assert await pool.run(math.factorial, 5) == 120


async def test_a_call_whose_process_is_killed_is_repeated(pool: WorkerPool) -> None:
    call = asyncio.create_task(pool.run(time.sleep, 0.5))
    await until(processes)
    (process,) = processes()

    process.kill()

    await call
    assert await pool.run(os.getpid) != process.pid


async def test_a_process_killed_while_idle_is_replaced(pool: WorkerPool) -> None:
    pid = await pool.run(os.getpid)

    os.kill(pid, signal.SIGKILL)

    assert await pool.run(os.getpid) != pid


async def test_a_call_that_ends_every_process_fails_and_the_next_one_succeeds(
    pool: WorkerPool,
) -> None:
    with pytest.raises(CallFailed):
        await pool.run(os._exit, 1)

    assert await pool.run(math.factorial, 5) == 120


async def test_a_call_that_takes_too_long_fails_and_its_process_is_ended() -> None:
    pool = WorkerPool("test", max_waiting=1, call_seconds=1)
    with pytest.raises(CallFailed):
        await pool.run(time.sleep, 3600)

    assert processes() == []
    await pool.close()


async def test_a_cancelled_callers_place_in_the_queue_is_free_again(pool: WorkerPool) -> None:
    calls = [asyncio.create_task(pool.run(time.sleep, 0.2)) for _ in range(3)]
    await asyncio.sleep(0)

    calls[1].cancel()
    await asyncio.sleep(0)
    last = await pool.run(math.factorial, 5)

    assert last == 120
    assert is_refused(await asyncio.gather(*calls, return_exceptions=True)) == [False] * 3


async def test_a_disconnected_clients_call_is_not_run(pool: WorkerPool) -> None:
    disconnected = False
    running = asyncio.create_task(pool.run(time.sleep, 0.3))
    await asyncio.sleep(0)
    waiting = [
        asyncio.create_task(pool.run_unless(lambda: disconnected, os._exit, 1)) for _ in range(2)
    ]
    await asyncio.sleep(0)

    disconnected = True

    assert await pool.run(math.factorial, 5) == 120
    assert is_refused(await asyncio.gather(*waiting, return_exceptions=True)) == [True, True]
    await running


async def test_closing_finishes_the_calls_and_ends_the_processes() -> None:
    pool = WorkerPool("test", max_waiting=2)
    calls = [asyncio.create_task(pool.run(math.factorial, each)) for each in (4, 5, 6)]
    await asyncio.sleep(0)

    await pool.close()

    assert await asyncio.gather(*calls) == [24, 120, 720]
    assert processes() == []
    with pytest.raises(PoolBusy):
        await pool.run(os.getpid)


OWNER = """
import asyncio, os, sys
from goticket_platform.worker_pool.pool import WorkerPool
async def main():
    print(await WorkerPool("test", max_waiting=1).run(os.getpid), flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


async def test_no_process_outlives_its_killed_owner() -> None:
    owner = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(await asyncio.to_thread(owner.stdout.readline))

    owner.kill()
    owner.wait()
    owner.stdout.close()

    await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")
