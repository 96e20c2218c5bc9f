"""A gRPC server with the interceptor on loopback, called with `call`."""

# The asyncio stub class exists for the type checker only.
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import structlog
from goticket.identity.v1 import identity_pb2 as pb
from goticket.identity.v1 import identity_pb2_grpc as rpc
from goticket_platform.ops import Health
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import ErrorTable, RemoteError, public_metadata
from goticket_platform.rpc.server import serve_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


@dataclass(frozen=True)
class Violation:
    field: str
    message: str


class Rejected(Exception):
    """Rejected by a rule."""

    code = "rejected"
    fields = (Violation("name", "is too long"),)
    metadata = {"limit": "10"}  # noqa: RUF012 - a fixed stand-in for a domain error


class Identity(rpc.IdentityServiceServicer):
    """Behaves as the name in the request requires."""

    def __init__(self) -> None:
        self.log_context: dict[str, object] = {}
        self.calls = 0
        self.release = asyncio.Event()

    async def Register(self, request: pb.RegisterRequest, context: object) -> pb.RegisterResponse:  # noqa: N802 - gRPC's name
        self.calls += 1
        self.log_context = dict(structlog.contextvars.get_contextvars())
        match request.name:
            case "reject":
                raise Rejected("Rejected by a rule.")
            case "crash":
                raise RuntimeError("SELECT secrets")
            case "database":
                raise ConnectionRefusedError
            case "wait":
                await self.release.wait()
        return pb.RegisterResponse(user=pb.User(name=request.name))


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Identity, rpc.IdentityServiceAsyncStub, int, Health]]:
    health = Health()
    servicer = Identity()  # type: ignore[abstract]  # the other methods response UNIMPLEMENTED
    table = ErrorTable("identity.goticket", {Rejected: grpc.StatusCode.INVALID_ARGUMENT})

    def register(server: grpc.aio.Server) -> None:
        rpc.add_IdentityServiceServicer_to_server(servicer, server)

    name = "goticket.identity.v1.IdentityService"
    async with (
        AsyncExitStack() as closing,
        serve_grpc("127.0.0.1:0", table, register, [name], health, verifier=None) as port,
    ):
        channel = open_channel(f"127.0.0.1:{port}")
        closing.push_async_callback(channel.close, 5)  # after the drain of the server
        yield servicer, rpc.IdentityServiceStub(channel), port, health


async def test_a_call_returns_the_response_and_sends_the_request_id() -> None:
    async with served() as (servicer, stub, _, _):
        with structlog.contextvars.bound_contextvars(request_id="req-1", user_id="u-1"):
            response = await call(stub.Register, pb.RegisterRequest(name="Ada"))
    assert response.user.name == "Ada"
    assert servicer.log_context == {"request_id": "req-1", "user_id": "u-1"}


async def test_a_listed_error_arrives_with_code_fields_and_metadata() -> None:
    async with served() as (_, stub, _, _):
        with pytest.raises(RemoteError) as caught:
            await call(stub.Register, pb.RegisterRequest(name="reject"))
    error = caught.value
    assert (error.status, error.code) == (grpc.StatusCode.INVALID_ARGUMENT, "rejected")
    assert error.message == "Rejected by a rule."
    assert error.fields == (("name", "is too long"),)
    assert error.metadata == {"limit": "10"}


async def test_an_unexpected_error_is_internal_without_its_text() -> None:
    async with served() as (_, stub, _, _):
        with pytest.raises(RemoteError) as caught:
            await call(stub.Register, pb.RegisterRequest(name="crash"))
    assert (caught.value.status, caught.value.code) == (grpc.StatusCode.INTERNAL, "internal")
    assert "secrets" not in caught.value.message


async def test_a_lost_database_is_unavailable_and_an_idempotent_call_is_retried() -> None:
    async with served() as (servicer, stub, _, _):
        with pytest.raises(RemoteError) as caught:
            await call(stub.Register, pb.RegisterRequest(name="database"), idempotent=True)
        assert caught.value.code == "unavailable"
        assert servicer.calls == 3
        with pytest.raises(RemoteError):
            await call(stub.Register, pb.RegisterRequest(name="database"))
        assert servicer.calls == 4


async def test_a_missing_server_is_unavailable_at_once() -> None:
    async with served() as (_, _, port, _):
        pass
    channel = open_channel(f"127.0.0.1:{port}")
    with pytest.raises(RemoteError) as caught:
        await call(rpc.IdentityServiceStub(channel).Register, pb.RegisterRequest(), timeout=30)
    await channel.close()
    assert caught.value.code == "unavailable"


async def test_a_call_past_its_deadline_fails() -> None:
    async with served() as (servicer, stub, _, _):
        with pytest.raises(RemoteError) as caught:
            await call(stub.Register, pb.RegisterRequest(name="wait"), timeout=0.05)
        servicer.release.set()
    assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_health_service_reports_the_readiness_of_the_process() -> None:
    async with served() as (_, _, port, health):
        channel = open_channel(f"127.0.0.1:{port}")
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stub file has no asyncio types

        async def status() -> int:
            response: health_pb2.HealthCheckResponse = await stub.Check(
                health_pb2.HealthCheckRequest(), timeout=5
            )
            return response.status

        assert await status() == health_pb2.HealthCheckResponse.NOT_SERVING
        health.ready = True
        async with asyncio.timeout(10):
            while await status() != health_pb2.HealthCheckResponse.SERVING:
                await asyncio.sleep(0.05)
        await channel.close()


async def test_a_stopping_server_finishes_the_calls_in_flight() -> None:
    async with served() as (servicer, stub, _, _):
        pending = asyncio.create_task(
            call(stub.Register, pb.RegisterRequest(name="wait"), timeout=30)
        )
        async with asyncio.timeout(10):
            while not servicer.calls:
                await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.1, servicer.release.set)
        # the end of the block stops the server while the call is in flight
    assert pending.done()
    assert pending.result().user.name == "wait"


async def test_an_idle_connection_is_pinged_and_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are 1:50. With the server's default the third ping would close the connection."""
    monkeypatch.setattr("goticket_platform.rpc.client.PING_MILLISECONDS", 200)
    monkeypatch.setattr("goticket_platform.rpc.server.MIN_PING_MILLISECONDS", 100)
    async with served() as (_, stub, port, _):
        del stub
        channel = open_channel(f"127.0.0.1:{port}")
        await channel.channel_ready()
        leaving = asyncio.create_task(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
        done, _pending = await asyncio.wait({leaving}, timeout=3)
        leaving.cancel()
        await channel.close()
    assert done == set()


def test_the_metadata_of_an_error_has_the_names_of_the_public_api() -> None:
    assert public_metadata({"ticket_type_id": "a", "available": "0", "retryAfter": "1"}) == {
        "ticketTypeId": "a",
        "available": "0",
        "retryAfter": "1",
    }
