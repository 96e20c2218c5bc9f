"""The gateway as a process: it starts, serves real sockets, and stops cleanly."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from gateway.config import GatewaySettings
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_testing.gateway_process import running
from goticket_testing.scripted import ScriptedBackends

DEADLINE = 30.0

Bearer = Callable[..., dict[str, str]]


class SlowCatalog:
    """Answers ListEvents after its release, and sets `called` when a call arrives."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.released = asyncio.Event()

    async def answer(self, _request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        self.called.set()
        await self.released.wait()
        return pb.ListEventsResponse()


async def test_a_connection_continues_after_a_response_to_head(
    backends: ScriptedBackends,
) -> None:
    async with running(backends) as gateway:
        host, port = (await gateway.url()).removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"HEAD /health HTTP/1.1\r\nHost: gateway\r\n\r\n"
            b"GET /health HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
        )
        answers = await asyncio.wait_for(reader.read(), DEADLINE)
        writer.close()
    head, get, body = answers.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: %d\r\n" % len(body) in head.lower() + b"\r\n"
    assert get.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["status"] == "ok"


async def test_on_sigterm_requests_in_flight_are_finished_and_new_ones_rejected(
    backends: ScriptedBackends,
) -> None:
    slow = SlowCatalog()
    backends.answers["ListEvents"] = slow.answer
    async with running(backends) as gateway, httpx.AsyncClient() as client:
        url = await gateway.url()
        in_flight = asyncio.create_task(client.get(f"{url}/api/v1/events"))
        await asyncio.wait_for(slow.called.wait(), DEADLINE)
        gateway.process.send_signal(signal.SIGTERM)
        await gateway.logged(event="stopping")
        await _until_refused(url)
        slow.released.set()
        answer = await asyncio.wait_for(in_flight, DEADLINE)
        assert (answer.status_code, answer.json()["items"]) == (200, [])
        assert await gateway.ended() == 0
        assert gateway.lines[-1]["event"] == "stopped"


async def _until_refused(url: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                async with httpx.AsyncClient() as fresh:
                    await fresh.get(f"{url}/livez")
            except httpx.TransportError:
                return
            await asyncio.sleep(0.05)


async def test_a_large_body_gets_its_answer_over_a_real_socket(
    backends: ScriptedBackends, bearer: Bearer
) -> None:
    async with running(backends) as gateway, httpx.AsyncClient() as client:
        url = f"{await gateway.url()}/api/v1/events"
        headers = bearer("organizer") | {"Content-Type": "application/json"}
        for body in (b"x" * 10_000_000, _pieces(10_000)):
            answer = await client.post(url, content=body, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
        assert (await client.get(url.replace("api/v1/events", "health"))).status_code == 200


async def _pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1000


async def test_the_gateway_reconnects_to_restarted_backends(backends: ScriptedBackends) -> None:
    late = ScriptedBackends(answers=backends.answers)
    late.answers["ListEvents"] = pb.ListEventsResponse()
    async with late.serving():
        pass  # a port that was free a moment ago
    target = late.target
    settings = {"GATEWAY_CATALOG_TARGET": target}
    async with running(backends, **settings) as gateway, httpx.AsyncClient() as client:
        url = f"{await gateway.url()}/api/v1/events"
        answer = await client.get(url)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] in {"1", "2", "3"}
        async with late.serving(target), asyncio.timeout(DEADLINE):
            while (await client.get(url)).status_code != 200:
                await asyncio.sleep(0.1)


def test_the_default_number_of_workers_is_one_per_core(settings: GatewaySettings) -> None:
    assert settings.workers == 0
    assert settings.processes == len(os.sched_getaffinity(0))
    assert settings.model_copy(update={"workers": 3}).processes == 3


async def test_several_workers_share_the_port_and_stop_together(
    backends: ScriptedBackends,
) -> None:
    async with running(backends, GATEWAY_WORKERS="2") as gateway:
        lines = await gateway.logged(2, event="listening", http="")
        (address,) = {line["http"] for line in lines}
        for _ in range(10):
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://{address}/health")).status_code == 200
        gateway.process.send_signal(signal.SIGTERM)
        assert await gateway.ended() == 0
        assert len(await gateway.logged(3, event="stopped")) == 3


async def test_the_process_exits_with_an_error_when_a_worker_ends(
    backends: ScriptedBackends,
) -> None:
    async with running(backends, GATEWAY_WORKERS="2") as gateway:
        await gateway.logged(2, event="listening", http="")
        victim, _ = await gateway.logged(2, event="worker started")
        os.kill(victim["pid"], signal.SIGKILL)
        assert await gateway.ended() == 1


async def test_the_operations_port_has_metrics_and_readiness(backends: ScriptedBackends) -> None:
    async with running(backends) as gateway, httpx.AsyncClient() as client:
        url = await gateway.url()
        (line,) = await gateway.logged(event="listening", ops="")
        await client.get(f"{url}/health")
        assert (await client.get(f"{url}/metrics")).status_code == 404
        metrics = await client.get(f"http://{line['ops']}/metrics")
        assert "goticket_http_requests_total" in metrics.text
        assert (await client.get(f"http://{line['ops']}/readyz")).status_code == 200


@pytest.mark.parametrize("taken", ["1", "2"])
async def test_missing_settings_are_named_and_the_process_does_not_start(
    backends: ScriptedBackends, taken: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli",
        "serve",
        env={name: value for name, value in os.environ.items() if "GATEWAY" not in name}
        | {"GATEWAY_LISTEN": "nonsense", "GATEWAY_WORKERS": taken},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 1
    for name in (
        "GATEWAY_IDENTITY_TARGET",
        "GATEWAY_REDIS_URL",
        "GATEWAY_AMQP_URL",
        "GATEWAY_LISTEN",
    ):
        assert name in errors.decode()
