"""The operations port: liveness, readiness and metrics."""

import asyncio
import json
import signal
import socket

import httpx
import pytest
from goticket_platform import ops
from goticket_platform.ops import Health, serve_ops

LISTEN = "127.0.0.1:0"


async def fetch(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    async with httpx.AsyncClient() as client:
        response = await client.request(method, f"http://127.0.0.1:{port}{path}")
    return response.status_code, response.content


async def test_a_process_is_live_before_it_is_ready() -> None:
    health = Health()
    async with serve_ops(LISTEN, health) as port:
        assert (await fetch(port, "/livez"))[0] == 200
        assert (await fetch(port, "/readyz"))[0] == 503
        health.ready = True
        assert (await fetch(port, "/readyz"))[0] == 200


async def test_a_failed_check_is_named() -> None:
    health = Health()
    health.ready = True

    async def fail() -> None:
        raise ConnectionRefusedError

    health.add_check("postgres", fail)
    async with serve_ops(LISTEN, health) as port:
        status, body = await fetch(port, "/readyz")
    assert status == 503
    assert json.loads(body)["failing"] == {"postgres": "ConnectionRefusedError"}


async def test_a_check_that_does_not_return_is_a_failed_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ops, "CHECK_SECONDS", 0.05)
    health = Health()
    health.add_check("rabbitmq", asyncio.Event().wait)
    assert await health.failures() == {"rabbitmq": "TimeoutError"}


async def test_metrics_are_served_and_other_paths_are_not_found() -> None:
    async with serve_ops(LISTEN, Health()) as port:
        status, body = await fetch(port, "/metrics")
        assert status == 200
        assert b"python_info" in body
        assert await fetch(port, "/metrics", "HEAD") == (200, b"")
        assert (await fetch(port, "/"))[0] == 404


async def test_slow_clients_delay_no_other_request_and_are_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ops, "CONNECTION_SECONDS", 0.5)
    async with asyncio.timeout(20), serve_ops(LISTEN, Health()) as port:
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for _, writer in clients:
            writer.write(b"GET /livez HTTP/1.1\r\nHost: ")
        assert (await fetch(port, "/livez"))[0] == 200
        for reader, writer in clients:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()


async def test_a_connection_carries_one_request() -> None:
    async with asyncio.timeout(20), serve_ops(LISTEN, Health()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.read()).endswith(b'{"status":"ok"}')
        writer.close()


async def test_a_client_that_stays_connected_does_not_delay_the_stop() -> None:
    async with asyncio.timeout(20), serve_ops(LISTEN, Health()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\n")
    writer.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


async def test_the_signal_handlers_of_the_process_stay_installed() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with serve_ops(LISTEN, Health()) as port:
        await fetch(port, "/livez")
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


async def test_a_port_in_use_is_an_error() -> None:
    async with serve_ops(LISTEN, Health()) as port:
        with pytest.raises(OSError, match="in use"):
            async with serve_ops(f"127.0.0.1:{port}", Health()):
                pass
