"""One worker process, as its pool sees it."""

import asyncio
import contextlib
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import Any

from goticket_platform.worker_pool.child import HEAD_BYTES

_CHILD = "goticket_platform.worker_pool.child"


class WorkerDied(Exception):
    """The worker process ended before it had an outcome."""


class Worker:
    """A process that runs one call at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, niceness: int, modules: Sequence[str]) -> "Worker":
        """Start a process that has imported `modules` before its first call.

        Raises:
            OSError: the process cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _CHILD,
            str(niceness),
            *modules,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not been found dead yet."""
        return self._process.returncode is None

    async def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Return the result of the function, or raise what it raises.

        Raises:
            WorkerDied: the process ended meanwhile.
        """
        sending, receiving = self._process.stdin, self._process.stdout
        if sending is None or receiving is None:
            raise WorkerDied
        content = pickle.dumps((function, arguments))
        try:
            sending.write(len(content).to_bytes(HEAD_BYTES, "big") + content)
            await sending.drain()
            head = await receiving.readexactly(HEAD_BYTES)
            outcome = await receiving.readexactly(int.from_bytes(head, "big"))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise WorkerDied from error
        result, failure = pickle.loads(outcome)  # noqa: S301 - from a process of our own
        if failure is not None:
            raise failure
        return result

    async def stop(self, grace_seconds: float) -> None:
        """End the process: by the end of its input, or by SIGKILL after the grace period."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
