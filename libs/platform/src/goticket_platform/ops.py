"""The operations port of every process: /metrics, /livez, /readyz."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from goticket_platform.logs import get_logger
from goticket_platform.settings import host_and_port

CHECK_SECONDS = 2.0
"""How long one readiness check may take."""
REQUEST_SECONDS = 5.0
"""How long a probe may take to send its request."""

logger = get_logger(__name__)

Check = Callable[[], Awaitable[object]]


class Health:
    """Whether the process wants work (`ready`) and whether what it needs answers (checks)."""

    def __init__(self) -> None:
        self.ready = False
        self._checks: dict[str, Check] = {}

    def add_check(self, name: str, check: Check) -> None:
        """Add a check that raises when `name` cannot be used."""
        self._checks[name] = check

    async def failures(self) -> dict[str, str]:
        """Run all checks at once; map each failing one's name to a short reason."""
        results = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        return {name: why for name, why in zip(self._checks, results, strict=True) if why}

    async def _run(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except Exception as error:  # noqa: BLE001 - any failure means "not ready", told by its type
            return type(error).__name__
        return None


@asynccontextmanager
async def serve_ops(listen: str, health: Health) -> AsyncIterator[int]:
    """Serve probes and metrics on `listen` ("host:port", port 0 for any); yield the port.

    /livez answers 200 while the loop turns; /readyz 200 or 503 with the failing
    checks; /metrics the Prometheus text format.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = request.partition(b" ")
            path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
            status, kind, body = await _respond(path, health)
            writer.write(_response(status, kind, b"" if method == b"HEAD" else body))
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the probe went away or spoke something else; nobody is left to answer
        finally:
            writer.close()

    host, port = host_and_port(listen)
    server = await asyncio.start_server(answer, host, port)
    async with server:
        bound: int = server.sockets[0].getsockname()[1]
        logger.info("listening", ops=f"{host}:{bound}")
        yield bound


async def _respond(path: str, health: Health) -> tuple[str, str, bytes]:
    if path == "/metrics":
        return "200 OK", CONTENT_TYPE_LATEST, generate_latest()
    if path == "/livez":
        return "200 OK", "application/json", b'{"status":"ok"}'
    if path == "/readyz":
        failures = await health.failures()
        ready = health.ready and not failures
        body = {"status": "ready" if ready else "not ready", "failing": failures}
        status = "200 OK" if ready else "503 Service Unavailable"
        return status, "application/json", json.dumps(body).encode()
    return "404 Not Found", "text/plain", b"not found\n"


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
