"""A `gateway serve` process in front of scripted services."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from goticket_testing.scripted import ScriptedBackends

DEADLINE = 30.0


class Process:
    """A running `gateway serve` and its log entries."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def logged(self, count: int = 1, **wanted: str) -> list[dict[str, Any]]:
        """Wait for `count` lines that have these members (any value for "")."""
        assert self.process.stderr
        while len(found := [line for line in self.lines if _fits(line, wanted)]) < count:
            line = await asyncio.wait_for(self.process.stderr.readline(), DEADLINE)
            assert line, self.lines
            self.lines.append(json.loads(line))
        return found

    async def url(self) -> str:
        """Wait until it listens; return its URL."""
        (line,) = await self.logged(event="listening", http="")
        return f"http://{line['http']}"

    async def ended(self) -> int:
        """Read the log to its end and return the exit status."""
        assert self.process.stderr
        async with asyncio.timeout(DEADLINE):
            async for line in self.process.stderr:
                self.lines.append(json.loads(line))
            return await self.process.wait()


def _fits(line: dict[str, Any], wanted: dict[str, str]) -> bool:
    return all(name in line and value in {"", line[name]} for name, value in wanted.items())


@asynccontextmanager
async def running(backends: ScriptedBackends, **settings: str) -> AsyncIterator[Process]:
    usual = {
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_WORKERS": "1",
        "GATEWAY_IDENTITY_TARGET": backends.target,
        "GATEWAY_CATALOG_TARGET": backends.target,
        "GATEWAY_BOOKING_TARGET": backends.target,
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        "GATEWAY_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/",
        "GATEWAY_ISSUER": "https://goticket.test",
        "GATEWAY_AUDIENCE": "goticket",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli",
        "serve",
        env={**os.environ, **usual, **settings},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
