"""A neighbour who reaches every gRPC port gets nothing, also with catalog's key."""

import asyncio
import base64
import secrets
from collections.abc import Iterable
from typing import Any

import grpc
import httpx
import pytest
from goticket.booking.v1 import booking_pb2, booking_pb2_grpc
from goticket.common.v1.common_pb2 import Actor
from goticket.identity.v1 import identity_pb2, identity_pb2_grpc
from goticket_contracts.rpc_callers import allowed_callers, audience_of
from goticket_local.certificates import ensure_certificates
from goticket_local.manifest import load_services
from goticket_platform.rpc.assertions import METADATA_KEY, AssertionSigner
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import RemoteError, remote_error
from goticket_testing.clients import ApiUser, create_booking, create_event
from goticket_testing.rpc_keys import rpc_methods
from goticket_testing.stack import RunningStack

ADMIN = Actor(user_id="0197c0de-7a11-7b00-8a00-0000000000ad", roles=["user", "admin"])
SERVERS = ("identity", "catalog", "booking")
SERVICE_NAMES = tuple(service.name for service in load_services())
GET_USER = "/goticket.identity.v1.IdentityService/GetUser"
SET_ROLES = "/goticket.identity.v1.IdentityService/SetRoles"


def target(stack: RunningStack, service: str) -> str:
    """Return the address of a service's gRPC server."""
    prefix = service.upper()
    return stack.environment(f"{service} serve")[f"{prefix}_GRPC_LISTEN"]


def channel_to(
    stack: RunningStack, service: str, signer: AssertionSigner | None = None
) -> grpc.aio.Channel:
    """Connect with catalog's certificate, which the neighbour has stolen."""
    return open_channel(target(stack, service), signer, stack.tls_files("catalog"))


def key_of(stack: RunningStack, service: str) -> bytes:
    """Return the private key that a service has in the running system."""
    return base64.b64decode(stack.config.secrets[f"{service}.secrets.rpc_key"])


def signer_of(stack: RunningStack, service: str) -> AssertionSigner:
    return AssertionSigner(service, key_of(stack, service))


async def send(
    stack: RunningStack, method: str, body: bytes, assertions: Iterable[str], service: str = ""
) -> str:
    """Send bytes to a method, at another service if one is given; return the error's code."""
    async with channel_to(stack, service or audience_of(method)) as channel:
        raw: Any = channel.unary_unary(method)
        try:
            metadata = [(METADATA_KEY, assertion) for assertion in assertions]
            await raw(body, metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            return remote_error(error).code
    return "accepted"


async def refused_calls(stack: RunningStack) -> float:
    """Return how many calls the servers have refused, by their own metrics."""
    total = 0.0
    async with httpx.AsyncClient() as client:
        for service in SERVERS:
            port = stack.process_configs[f"{service} serve"].ops_port
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            total += sum(
                float(line.rpartition(" ")[2])
                for line in text.splitlines()
                if line.startswith("goticket_rpc_assertions_refused_total{")
            )
    return total


async def test_no_method_answers_a_call_without_a_valid_assertion(stack: RunningStack) -> None:
    before = await refused_calls(stack)
    methods = rpc_methods()
    stranger = AssertionSigner("gateway", secrets.token_bytes(32))
    for method in methods:
        assert await send(stack, method, b"", []) == "call_refused"
        assert await send(stack, method, b"", [stranger.sign(method, b"")]) == "call_refused"
    assert await refused_calls(stack) - before == 2 * len(methods)


async def test_a_stolen_key_of_catalog_calls_what_catalog_calls_and_nothing_else(
    stack: RunningStack,
) -> None:
    as_catalog = signer_of(stack, "catalog")
    as_gateway = AssertionSigner("gateway", key_of(stack, "catalog"))
    reached = []
    for method in rpc_methods():
        if await send(stack, method, b"", [as_catalog.sign(method, b"")]) != "call_refused":
            reached.append(method)
        forged = as_gateway.sign(method, b"")
        assert await send(stack, method, b"", [forged]) == "call_refused", method
    assert reached == [each for each in rpc_methods() if "catalog" in allowed_callers(each)]
    assert reached == ["/goticket.booking.v1.BookingService/ShrinkCapacity"]


async def test_a_neighbour_cannot_make_anyone_an_admin(
    stack: RunningStack, api: httpx.AsyncClient
) -> None:
    """The attack of a service that believes the word of its caller."""
    address = f"{secrets.token_hex(6)}@people.example"
    body = {"email": address, "password": "correct horse battery", "name": "Mallory"}
    account = (await api.post("/api/v1/auth/register", json=body)).json()
    user_id = account["id"]
    wanted = identity_pb2.SetRolesRequest(actor=ADMIN, user_id=user_id, roles=["admin"])
    for signer in (None, signer_of(stack, "catalog"), signer_of(stack, "booking")):
        async with channel_to(stack, "identity", signer) as channel:
            with pytest.raises(RemoteError) as refused:
                await call(identity_pb2_grpc.IdentityServiceStub(channel).SetRoles, wanted)
            assert refused.value.code == "call_refused"

    async with channel_to(stack, "identity", signer_of(stack, "gateway")) as channel:
        read = identity_pb2.GetUserRequest(actor=Actor(user_id=user_id), user_id=user_id)
        found = await call(identity_pb2_grpc.IdentityServiceStub(channel).GetUser, read)
    assert list(found.user.roles) == ["user"]


async def test_a_neighbour_cannot_read_or_cancel_bookings(
    stack: RunningStack, api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    booked = (await create_booking(api, buyer, event["id"], quantity=1)).json()
    request = booking_pb2.CancelBookingRequest(actor=ADMIN, booking_id=booked["id"])
    for service in ("catalog", "notification", "booking"):
        signer = signer_of(stack, service)
        async with channel_to(stack, "booking", signer) as channel:
            with pytest.raises(RemoteError) as refused:
                await call(booking_pb2_grpc.BookingServiceStub(channel).CancelBooking, request)
            assert refused.value.code == "call_refused"
    path = f"/api/v1/bookings/{booked['id']}"
    assert (await api.get(path, headers=buyer.headers)).json()["status"] == "confirmed"


async def test_a_captured_assertion_is_of_no_use(stack: RunningStack) -> None:
    body = identity_pb2.GetUserRequest(
        actor=ADMIN, user_id="0197c0de-7a11-7b00-8a00-00000000dead"
    ).SerializeToString()
    gateway = signer_of(stack, "gateway")
    captured = gateway.sign(GET_USER, body)
    assert await send(stack, GET_USER, body, [captured]) == "user_not_found"

    assert await send(stack, GET_USER, body, [captured]) == "call_refused"  # again
    unused = gateway.sign(GET_USER, body)
    assert await send(stack, SET_ROLES, body, [unused]) == "call_refused"  # another method
    assert await send(stack, GET_USER, b"", [unused]) == "call_refused"  # another request
    list_events = "/goticket.catalog.v1.CatalogService/ListEvents"
    other_service = gateway.sign(GET_USER, body)
    assert await send(stack, list_events, body, [other_service]) == "call_refused"
    stale = AssertionSigner("gateway", key_of(stack, "gateway"), lambda: 1_700_000_000.0)
    assert await send(stack, GET_USER, body, [stale.sign(GET_USER, body)]) == "call_refused"


async def test_of_many_uses_at_once_one_succeeds(stack: RunningStack) -> None:
    body = identity_pb2.GetUserRequest(actor=ADMIN, user_id="x").SerializeToString()
    captured = signer_of(stack, "gateway").sign(GET_USER, body)
    codes = await asyncio.gather(*(send(stack, GET_USER, body, [captured]) for _ in range(20)))
    assert codes.count("call_refused") == 19


async def test_a_neighbour_without_a_certificate_does_not_get_a_connection(
    stack: RunningStack,
) -> None:
    for service in SERVERS:
        async with open_channel(target(stack, service), signer_of(stack, "gateway")) as channel:
            method: Any = channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await method(b"", timeout=20)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_needs_no_restart(
    stack: RunningStack, api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    assert stack.certificates is not None
    event = await create_event(api, organizer)
    pids = {service: stack.process(f"{service} serve").pid for service in SERVERS}
    ensure_certificates(stack.certificates, SERVICE_NAMES, renew=True)
    for _ in range(3):
        booked = await create_booking(api, buyer, event["id"], quantity=1)
        assert booked.status_code == 201
    assert {service: stack.process(f"{service} serve").pid for service in SERVERS} == pids


async def test_no_server_lists_its_methods(stack: RunningStack) -> None:
    for service in SERVERS:
        for version in ("v1", "v1alpha"):
            async with channel_to(stack, service) as channel:
                method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
                stream: Any = channel.stream_stream(method)
                with pytest.raises(grpc.aio.AioRpcError) as failed:
                    await stream(iter([])).read()
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_local_system_serves_grpc_on_the_loopback_interface_only(stack: RunningStack) -> None:
    assert {target(stack, service).partition(":")[0] for service in SERVERS} == {"127.0.0.1"}
