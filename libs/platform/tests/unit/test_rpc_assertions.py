"""A service proves who it is with every call, and nothing else gets through."""

# The asyncio stub class exists for the type checker only.
from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1 import booking_pb2_grpc as rpc
from goticket.common.v1.common_pb2 import Actor
from goticket_contracts.rpc_callers import allowed_callers, audience_of
from goticket_platform.ops import Health
from goticket_platform.rpc.assertions import (
    LEEWAY_SECONDS,
    LIFETIME_SECONDS,
    METADATA_KEY,
    AssertionRefused,
    AssertionSigner,
    AssertionVerifier,
    require_no_actor_unless_vouched,
)
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import ErrorTable, RemoteError
from goticket_platform.rpc.server import serve_grpc
from goticket_platform.settings import CallerKeysSetting, ServiceSettings, load
from goticket_testing.rpc_keys import rpc_methods
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from pydantic_settings import SettingsConfigDict

GET = "/goticket.booking.v1.BookingService/GetBooking"
SHRINK = "/goticket.booking.v1.BookingService/ShrinkCapacity"
BODY = b"request"
NOW = 1_800_000_000.0


def private_key(number: int) -> bytes:
    return bytes([number] * 32)


def public_key(number: int) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(private_key(number))
    return key.public_key().public_bytes_raw()


GATEWAY, CATALOG, NOTIFICATION, STRANGER = range(4)
PEERS = {
    "gateway": (public_key(GATEWAY),),
    "catalog": (public_key(CATALOG),),
    "notification": (public_key(NOTIFICATION),),
}


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(clock: Clock) -> AssertionVerifier:
    return AssertionVerifier("booking", PEERS, clock)


@pytest.fixture
def gateway(clock: Clock) -> AssertionSigner:
    return AssertionSigner("gateway", private_key(GATEWAY), clock)


def refusal(verifier: AssertionVerifier, assertion: str | None, method: str = GET) -> str:
    counted = {"reason": "", "name": "goticket_rpc_assertions_refused_total"}
    with pytest.raises(AssertionRefused) as refused:
        verifier.verify(assertion, method, BODY)
    reason = refused.value.reason
    assert REGISTRY.get_sample_value(counted["name"], {"reason": reason})
    return reason


def test_an_assertion_names_the_service_that_calls(
    verifier: AssertionVerifier, gateway: AssertionSigner
) -> None:
    assert verifier.verify(gateway.sign(GET, BODY), GET, BODY) == "gateway"


@pytest.mark.parametrize("assertion", [None, "", "nonsense", "a.b.c", "é"])
def test_a_call_without_a_readable_assertion_is_refused(
    verifier: AssertionVerifier, assertion: str | None
) -> None:
    assert refusal(verifier, assertion) in {"missing", "malformed"}


@pytest.mark.parametrize("part", ["header", "payload"])
def test_deeply_nested_json_is_malformed(verifier: AssertionVerifier, part: str) -> None:
    nested = base64.urlsafe_b64encode(b"[" * 5000 + b"]" * 5000).rstrip(b"=").decode()
    header, payload, signature = (
        AssertionSigner("gateway", private_key(GATEWAY)).sign(GET, BODY).split(".")
    )
    assertion = (
        f"{nested}.{payload}.{signature}" if part == "header" else f"{header}.{nested}.{signature}"
    )
    assert refusal(verifier, assertion) == "malformed"


def test_an_assertion_is_for_one_method_and_one_request(
    verifier: AssertionVerifier, gateway: AssertionSigner
) -> None:
    assert refusal(verifier, gateway.sign(GET, b"another request")) == "other_call"
    list_bookings = "/goticket.booking.v1.BookingService/ListBookings"
    assert refusal(verifier, gateway.sign(list_bookings, BODY)) == "other_call"


def test_an_assertion_is_for_one_service(
    verifier: AssertionVerifier, gateway: AssertionSigner
) -> None:
    catalog = "/goticket.catalog.v1.CatalogService/GetEvent"
    assert refusal(verifier, gateway.sign(catalog, BODY), catalog) == "audience"


def test_an_assertion_is_used_once(verifier: AssertionVerifier, gateway: AssertionSigner) -> None:
    assertion = gateway.sign(GET, BODY)
    verifier.verify(assertion, GET, BODY)
    assert refusal(verifier, assertion) == "replayed"


def test_an_assertion_expires_and_its_use_is_forgotten(
    verifier: AssertionVerifier, gateway: AssertionSigner, clock: Clock
) -> None:
    assertion = gateway.sign(GET, BODY)
    verifier.verify(assertion, GET, BODY)
    clock.now += LIFETIME_SECONDS + LEEWAY_SECONDS + 1
    assert refusal(verifier, assertion) == "expired"
    clock.now += LEEWAY_SECONDS
    verifier.verify(gateway.sign(GET, BODY), GET, BODY)
    assert len(verifier._used["gateway"]) == 1


def test_a_caller_that_sends_too_many_calls_blocks_no_other(
    verifier: AssertionVerifier,
    gateway: AssertionSigner,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("goticket_platform.rpc.assertions.MAX_REMEMBERED", 3)
    catalog = AssertionSigner("catalog", private_key(CATALOG), clock)
    for _ in range(3):
        verifier.verify(catalog.sign(SHRINK, BODY), SHRINK, BODY)
    assert refusal(verifier, catalog.sign(SHRINK, BODY), SHRINK) == "too_many"
    assert verifier.verify(gateway.sign(GET, BODY), GET, BODY) == "gateway"


@pytest.mark.parametrize("seconds", [LEEWAY_SECONDS + 1, 3600])
def test_an_assertion_from_the_future_is_refused(
    verifier: AssertionVerifier, clock: Clock, seconds: float
) -> None:
    fast = AssertionSigner("gateway", private_key(GATEWAY), lambda: clock.now + seconds)
    assert refusal(verifier, fast.sign(GET, BODY)) == "expired"


def test_a_service_calls_only_its_own_methods(verifier: AssertionVerifier, clock: Clock) -> None:
    catalog = AssertionSigner("catalog", private_key(CATALOG), clock)
    assert verifier.verify(catalog.sign(SHRINK, BODY), SHRINK, BODY) == "catalog"
    assert refusal(verifier, catalog.sign(GET, BODY)) == "caller"


def test_a_key_speaks_only_for_its_own_service(verifier: AssertionVerifier, clock: Clock) -> None:
    impostor = AssertionSigner("gateway", private_key(CATALOG), clock)
    assert refusal(verifier, impostor.sign(GET, BODY)) == "signature"
    unknown = AssertionSigner("payments", private_key(STRANGER), clock)
    assert refusal(verifier, unknown.sign(GET, BODY)) == "signature"


def test_a_retired_key_is_accepted_while_it_is_listed(
    gateway: AssertionSigner, clock: Clock
) -> None:
    keys = {"gateway": (public_key(STRANGER), public_key(GATEWAY))}
    verifier = AssertionVerifier("booking", keys, clock)
    assert verifier.verify(gateway.sign(GET, BODY), GET, BODY) == "gateway"


def _claims(verifier: AssertionVerifier, **changed: object) -> dict[str, Any]:
    signer = AssertionSigner("gateway", private_key(GATEWAY), lambda: NOW)
    assertion = signer.sign(GET, BODY)
    claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
    return {name: value for name, value in (claims | changed).items() if value is not None}


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(NOW) + 3_153_600_000},
        {"exp": None},
        {"iat": None},
        {"iat": "1", "exp": "2"},
        {"jti": None},
        {"jti": "x" * 33},
        {"digest": None},
        {"aud": None},
        {"aud": ["catalog"]},
    ],
)
def test_claims_that_a_signer_would_not_write_are_refused(
    verifier: AssertionVerifier, changed: Mapping[str, object]
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(private_key(GATEWAY))
    assertion = jwt.encode(_claims(verifier, **changed), key, "EdDSA")
    assert refusal(verifier, assertion) in {"expired", "malformed", "audience"}


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_other_algorithms_are_refused(verifier: AssertionVerifier, algorithm: str) -> None:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    unsigned = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(_claims(verifier))}"
    if algorithm == "none":
        assertion = f"{unsigned}."
    else:
        assertion = jwt.encode(_claims(verifier), public_key(GATEWAY), algorithm)
    assert refusal(verifier, assertion) == "malformed"


def test_only_the_gateway_names_a_user() -> None:
    user = Actor(user_id="0197c0de-7a11-7b00-8a00-0000000000d1", roles=["admin"])
    named = pb.CreateBookingRequest(actor=user)
    require_no_actor_unless_vouched(named, "gateway")
    require_no_actor_unless_vouched(pb.CreateBookingRequest(actor=Actor()), "catalog")
    without_id = pb.CreateBookingRequest(actor=Actor(roles=["admin"]))
    for request in (named, without_id, pb.BatchCreateBookingsRequest(requests=[named])):
        with pytest.raises(AssertionRefused):
            require_no_actor_unless_vouched(request, "catalog")


@pytest.mark.parametrize("method", rpc_methods())
def test_every_method_has_callers_and_an_audience(method: str) -> None:
    assert allowed_callers(method)
    assert audience_of(method) in {"identity", "catalog", "booking"}


def test_an_unknown_method_has_no_callers() -> None:
    assert not allowed_callers("/goticket.booking.v1.Unknown/Method")


class RotatedSettings(ServiceSettings):
    model_config = SettingsConfigDict(frozen=True)

    rpc_caller_keys: CallerKeysSetting


class Bookings(rpc.BookingServiceServicer):
    """Answers, and records what it was asked."""

    def __init__(self) -> None:
        self.requests: list[pb.GetBookingRequest] = []

    async def GetBooking(self, request: pb.GetBookingRequest, context: object) -> Any:  # noqa: N802 - gRPC's name
        self.requests.append(request)
        return pb.GetBookingResponse()


@asynccontextmanager
async def serving(
    verifier: AssertionVerifier | None = None,
) -> AsyncIterator[tuple[Bookings, str]]:
    verifier = verifier or AssertionVerifier("booking", PEERS)
    bookings = Bookings()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED

    def register(server: grpc.aio.Server) -> None:
        rpc.add_BookingServiceServicer_to_server(bookings, server)

    table = ErrorTable("booking.goticket", {})
    name = "goticket.booking.v1.BookingService"
    async with serve_grpc(
        "127.0.0.1:0", table, register, [name], Health(), verifier=verifier
    ) as port:
        yield bookings, f"127.0.0.1:{port}"


Connect = Callable[[str], grpc.aio.Channel]


def signed_by(service: str, number: int) -> Connect:
    return lambda target: open_channel(target, AssertionSigner(service, private_key(number)))


async def test_a_signed_call_reaches_its_method() -> None:
    async with serving() as (bookings, target), signed_by("gateway", GATEWAY)(target) as channel:
        request = pb.GetBookingRequest(booking_id="b", actor=Actor(user_id="u"))
        for _ in range(2):
            await call(rpc.BookingServiceStub(channel).GetBooking, request, idempotent=True)
    assert bookings.requests == [request, request]


@pytest.mark.parametrize(
    "connect",
    [
        open_channel,
        signed_by("gateway", STRANGER),
        signed_by("catalog", CATALOG),
        signed_by("notification", NOTIFICATION),
    ],
)
async def test_any_other_call_is_refused_before_its_request_is_parsed(connect: Connect) -> None:
    async with serving() as (bookings, target), connect(target) as channel:
        for request in (pb.GetBookingRequest(booking_id="b"), pb.GetBookingRequest()):
            with pytest.raises(RemoteError) as refused:
                await call(rpc.BookingServiceStub(channel).GetBooking, request)
            assert (refused.value.status, refused.value.code) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "call_refused",
            )
    assert not bookings.requests


async def test_a_key_is_rotated_without_a_refused_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def calls(number: int, accepted: str) -> str:
        monkeypatch.setenv("RPC_CALLER_KEYS", accepted)
        keys = load(RotatedSettings).rpc_caller_keys
        async with (
            serving(AssertionVerifier("booking", keys)) as (_, target),
            open_channel(target, AssertionSigner("gateway", private_key(number))) as channel,
        ):
            try:
                await call(rpc.BookingServiceStub(channel).GetBooking, pb.GetBookingRequest())
            except RemoteError as error:
                return error.code
        return "accepted"

    def listed(*numbers: int) -> str:
        keys = [base64.b64encode(public_key(number)).decode() for number in numbers]
        return f"gateway={','.join(keys)}"

    old, new = GATEWAY, STRANGER
    assert await calls(old, listed(old)) == "accepted"
    assert await calls(old, listed(new, old)) == "accepted"
    assert await calls(new, listed(new, old)) == "accepted"
    assert await calls(new, listed(new)) == "accepted"
    assert await calls(old, listed(new)) == "call_refused"


async def test_streams_are_not_served_because_no_assertion_covers_them() -> None:
    stream = "/goticket.booking.v1.BookingService/Watch"

    async def watch(_: object, context: object) -> AsyncIterator[bytes]:
        yield b"data"

    handler: Any = grpc.unary_stream_rpc_method_handler(watch)
    service, method = stream.strip("/").split("/")

    def register(server: grpc.aio.Server) -> None:
        generic = grpc.method_handlers_generic_handler(service, {method: handler})
        server.add_generic_rpc_handlers((generic,))

    async with (
        serve_grpc(
            "127.0.0.1:0",
            ErrorTable("booking.goticket", {}),
            register,
            [],
            Health(),
            verifier=AssertionVerifier("booking", PEERS),
        ) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        streamed: Any = channel.unary_stream(stream)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await streamed(b"").read()
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_malformed_message_is_the_callers_fault() -> None:
    signer = AssertionSigner("gateway", private_key(GATEWAY))
    async with serving() as (_, target), open_channel(target) as channel:
        method: Any = channel.unary_unary(GET)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await method(b"\xff", metadata=[(METADATA_KEY, signer.sign(GET, b"\xff"))])
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_health_checks_need_no_assertion_and_there_is_no_reflection() -> None:
    async with serving() as (_, target), open_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status in {
            health_pb2.HealthCheckResponse.SERVING,
            health_pb2.HealthCheckResponse.NOT_SERVING,
        }
        method: Any = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            async for _ in method(iter([])):
                pass
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_clock_of_the_default_signer_is_the_real_one() -> None:
    assertion = AssertionSigner("gateway", private_key(GATEWAY)).sign(GET, BODY)
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert abs(claims["iat"] - time.time()) <= LIFETIME_SECONDS
