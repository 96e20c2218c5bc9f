"""Runs uvicorn within the process's lifecycle: one stop event, a drain, a clean exit."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.ops import Health
from goticket_platform.settings import host_and_port
from starlette.types import ASGIApp

from gateway.http.protocol import HttpProtocol

DRAIN_SECONDS = 15
"""Time limit of requests in flight after the stop; shorter than the process's grace period."""
LINGER_SECONDS = 0.5
"""Open connections are read for this long after the port is closed: uvicorn would drop a
request that has arrived but was not parsed yet."""
KEEP_ALIVE_SECONDS = 65
"""Longer than load balancers keep idle connections (60 s), so that these close first."""

logger = get_logger(__name__)


class _Server(uvicorn.Server):
    """Reports its start, stops in two steps, and leaves signals to the lifecycle."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        await super().startup(sockets)
        self._on_started()

    def close_port(self) -> None:
        """Accept no new connections; keep those that are open."""
        for listener in self.servers:
            listener.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the lifecycle."""
        yield


def bind(listen: str, *, share: bool) -> socket.socket:
    """Bind "host:port"; `share` lets several processes bind it, and the kernel spreads connections.

    Raises:
        OSError: the port is taken.
    """
    host, port = host_and_port(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def address(bound: socket.socket) -> str:
    """Return "host:port" as bound."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve(
    app: ASGIApp,
    bound: socket.socket,
    health: Health,
    stop: Stop,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop`; then accept no new connections and finish the requests in flight.

    `on_stop` is called when the shutdown begins.
    """

    def on_started() -> None:
        health.ready = True
        logger.info("listening", http=address(bound))

    server = _Server(
        uvicorn.Config(
            app,
            loop="none",
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        ),
        on_started,
    )
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    health.ready = False
    on_stop()
    stopping.cancel()
    if not serving.done():
        server.close_port()
        await asyncio.wait({serving}, timeout=LINGER_SECONDS)
    server.should_exit = True
    await serving
