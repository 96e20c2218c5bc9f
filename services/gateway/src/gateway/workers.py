"""Several gateway processes behind one port; the kernel spreads connections."""

import asyncio
import os
import sys

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.settings import host_and_port

from gateway.config import GatewaySettings
from gateway.http.server import address, bind

logger = get_logger(__name__)


class WorkerDied(SystemExit):
    """A worker ended unexpectedly; the process ends too, so that its supervisor restarts it."""


async def run_workers(settings: GatewaySettings, stop: Stop) -> None:
    """Run `settings.processes` gateways until `stop`; worker n has ops port `metrics_listen` + n.

    Raises:
        OSError: the port is taken.
        WorkerDied: a worker ended before `stop`; the others were stopped.
    """
    # Bound but never listened on: reserves the port, also one that the kernel chose.
    bound = bind(settings.listen, share=True)
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.cli",
            "serve",
            env={**os.environ, **_environment(settings, address(bound), number)},
        )
        for number in range(settings.processes)
    ]
    for worker in workers:
        logger.info("worker started", pid=worker.pid)
    ends = [asyncio.create_task(worker.wait()) for worker in workers]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({*ends, stopping}, return_when=asyncio.FIRST_COMPLETED)
    died = not stop.is_set()
    stopping.cancel()
    for worker in workers:
        if worker.returncode is None:
            worker.terminate()
    await asyncio.gather(*ends)
    bound.close()
    if died:
        logger.error("worker ended unexpectedly")
        raise WorkerDied(1)


def _environment(settings: GatewaySettings, listen: str, number: int) -> dict[str, str]:
    host, port = host_and_port(settings.metrics_listen)
    return {
        "GATEWAY_LISTEN": listen,
        "GATEWAY_WORKERS": "1",
        "GATEWAY_REUSE_PORT": "true",
        "GATEWAY_METRICS_LISTEN": f"{host}:{port + number if port else 0}",
    }
