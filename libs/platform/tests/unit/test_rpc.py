"""A real loopback gRPC server behind the interceptor, called through `call`."""

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
from goticket_platform.rpc.errors import ErrorTable, RemoteError
from goticket_platform.rpc.server import serve_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


@dataclass(frozen=True)
class Violation:
    field: str
    message: str


class Refused(Exception):
    """Not today."""

    code = "refused"
    fields = (Violation("name", "is too long"),)
    metadata = {"limit": "10"}  # noqa: RUF012 - a fixed stand-in for a domain error


class Identity(rpc.IdentityServiceServicer):
    """Answers by what the request's name asks for."""

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}
        self.calls = 0
        self.release = asyncio.Event()

    async def Register(self, request: pb.RegisterRequest, context: object) -> pb.RegisterResponse:  # noqa: N802 - gRPC's name
        self.calls += 1
        self.seen = dict(structlog.contextvars.get_contextvars())
        match request.name:
            case "refuse":
                raise Refused("Not today.")
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
    servicer = Identity()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED
    table = ErrorTable("identity.goticket", {Refused: grpc.StatusCode.INVALID_ARGUMENT})

    def register(server: grpc.aio.Server) -> None:
        rpc.add_IdentityServiceServicer_to_server(servicer, server)

    name = "goticket.identity.v1.IdentityService"
    async with (
        AsyncExitStack() as closing,
        serve_grpc("127.0.0.1:0", table, register, [name], health) as port,
    ):
        channel = open_channel(f"127.0.0.1:{port}")
        closing.push_async_callback(channel.close, 5)  # after the server has drained
        yield servicer, rpc.IdentityServiceStub(channel), port, health


async def test_a_call_returns_the_answer_and_carries_the_request_id() -> None:
    async with served() as (servicer, stub, _, _):
        with structlog.contextvars.bound_contextvars(request_id="req-1", user_id="u-1"):
            answer = await call(stub.Register, pb.RegisterRequest(name="Ada"))
    assert answer.user.name == "Ada"
    assert servicer.seen == {"request_id": "req-1", "user_id": "u-1"}


async def test_a_known_error_arrives_with_its_code_fields_and_metadata() -> None:
    async with served() as (_, stub, _, _):
        with pytest.raises(RemoteError) as caught:
            await call(stub.Register, pb.RegisterRequest(name="refuse"))
    error = caught.value
    assert (error.status, error.code) == (grpc.StatusCode.INVALID_ARGUMENT, "refused")
    assert error.message == "Not today."
    assert error.fields == (("name", "is too long"),)
    assert error.metadata == {"limit": "10"}


async def test_a_crash_is_internal_and_tells_nothing_of_the_inside() -> None:
    async with served() as (_, stub, _, _):
        with pytest.raises(RemoteError) as caught:
            await call(stub.Register, pb.RegisterRequest(name="crash"))
    assert (caught.value.status, caught.value.code) == (grpc.StatusCode.INTERNAL, "internal")
    assert "secrets" not in caught.value.message


async def test_a_lost_database_is_unavailable_and_an_idempotent_call_is_repeated() -> None:
    async with served() as (servicer, stub, _, _):
        with pytest.raises(RemoteError) as caught:
            await call(stub.Register, pb.RegisterRequest(name="database"), idempotent=True)
        assert caught.value.code == "unavailable"
        assert servicer.calls == 3
        with pytest.raises(RemoteError):
            await call(stub.Register, pb.RegisterRequest(name="database"))
        assert servicer.calls == 4


async def test_a_dead_server_is_reported_as_unavailable_at_once() -> None:
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


async def test_the_health_service_follows_the_process() -> None:
    async with served() as (_, _, port, health):
        channel = open_channel(f"127.0.0.1:{port}")
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stub file has no asyncio side

        async def status() -> int:
            answer: health_pb2.HealthCheckResponse = await stub.Check(
                health_pb2.HealthCheckRequest(), timeout=5
            )
            return answer.status

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
        # leaving the block stops the server while the call still waits
    assert pending.done()
    assert pending.result().user.name == "wait"


async def test_an_idle_connection_is_pinged_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale is 1:50; with the server's default it would be cut at the third ping."""
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
