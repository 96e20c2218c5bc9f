"""The operations port of every process: /metrics, /livez and /readyz."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import cast

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from goticket_platform.logs import get_logger
from goticket_platform.settings import host_and_port

CHECK_SECONDS = 2.0
"""Time limit of one readiness check."""
CONNECTION_SECONDS = 10.0
"""Time limit of one connection: it carries one request, whose client may be slow."""
SHUTDOWN_SECONDS = 1
"""Time limit of requests in flight when the port closes."""

logger = get_logger(__name__)

Check = Callable[[], Awaitable[object]]


class Health:
    """Whether the process accepts work (`ready`), and checks of what it depends on."""

    def __init__(self) -> None:
        self.ready = False
        self._checks: dict[str, Check] = {}

    def add_check(self, name: str, check: Check) -> None:
        """Add a check that raises when `name` cannot be used."""
        self._checks[name] = check

    async def failures(self) -> dict[str, str]:
        """Run all checks concurrently; map the name of each failed one to its error's type."""
        results = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        return {name: error for name, error in zip(self._checks, results, strict=True) if error}

    async def _run(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except Exception as error:  # noqa: BLE001 - any failure means "not ready"
            return type(error).__name__
        return None


@contextlib.asynccontextmanager
async def serve_ops(listen: str, health: Health) -> AsyncIterator[int]:
    """Serve probes and metrics on `listen` ("host:port", port 0 for any); yield the port.

    /livez answers 200 while the event loop runs. /readyz answers 200, or 503 with the failed
    checks. /metrics answers in the Prometheus text format.

    Raises:
        OSError: the port cannot be bound.
    """
    host, port = host_and_port(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        bound: int = listener.getsockname()[1]
        server = _Server(_configuration(health))
        serving = asyncio.create_task(server.serve([listener]))
        logger.info("listening", ops=f"{host}:{bound}")
        try:
            yield bound
        finally:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    """A server without signal handlers: `lifecycle.run` has installed the process's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


class _Protocol(H11Protocol):
    """HTTP/1.1 with a limit on the whole connection, so that slow clients cannot collect."""

    _deadline: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the connection's time."""
        connection = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(CONNECTION_SECONDS, connection.abort)
        super().connection_made(connection)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the connection's time."""
        self._deadline.cancel()
        super().connection_lost(exc)


def _configuration(health: Health) -> uvicorn.Config:
    return uvicorn.Config(
        _application(health),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("connection", "close")],
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _application(health: Health) -> Starlette:
    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        failures = await health.failures()
        ready = health.ready and not failures
        body = {"status": "ready" if ready else "not ready", "failing": failures}
        return JSONResponse(body, status_code=200 if ready else 503)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/livez", livez),
            Route("/readyz", readyz),
        ]
    )
