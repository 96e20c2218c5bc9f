"""The limits of the routes, with a real Redis: what attackers get, and what they cost."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from uuid import uuid4

import grpc
import httpx
import pytest
from gateway import bootstrap
from gateway.bootstrap import open_components
from gateway.config import GatewaySettings
from gateway.http.app import Gateway, create_app
from gateway.rate_limits.blocked_clients import READ_SECONDS
from goticket.booking.v1 import booking_pb2
from goticket.catalog.v1 import catalog_pb2
from goticket.identity.v1 import identity_pb2
from goticket_testing.backend import RedisBackend
from goticket_testing.clients import address_header
from goticket_testing.scripted import ScriptedBackends, ScriptedError
from redis.asyncio import Redis

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
BOOKINGS = f"/api/v1/events/{EVENT}/bookings"
LOGIN = "/api/v1/auth/login"
PASSWORD = "correct horse battery"
SCANNED = ("/wp-admin/{}", "/api/v1/secret/{}", "/.git/{}", "/docs/{}.js", "/api/v2/events/{}")

Bearer = Callable[..., dict[str, str]]

_numbers = count(uuid4().int)


def anywhere() -> dict[str, str]:
    """The header of a client with an address that no other test has."""
    return address_header(next(_numbers))


@pytest.fixture(autouse=True)
def slow_redis_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine decide in Redis too."""
    monkeypatch.setattr(bootstrap, "RATE_LIMIT_SECONDS", 10.0)


@pytest.fixture
def settings(settings: GatewaySettings, redis_url: str) -> GatewaySettings:
    return settings.model_copy(
        update={"redis_url": redis_url, "trusted_proxies": "127.0.0.0/8,::1"}
    )


@asynccontextmanager
async def gateway(
    settings: GatewaySettings, *, fast_paths: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as resources:
        parts = await resources.enter_async_context(open_components(settings))
        parts.health.ready = True
        app = create_app(
            parts, max_body_bytes=settings.max_body_bytes, cors_origins=settings.origins
        )
        if not fast_paths:
            app.without_fast_paths()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        yield await resources.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30)
        )


async def script_calls(url: str) -> int:
    """How often the script of the limits was called."""
    async with Redis.from_url(url) as client:
        stats = await client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


def counted(answers: list[httpx.Response]) -> Mapping[int, int]:
    statuses = [answer.status_code for answer in answers]
    return {status: statuses.count(status) for status in sorted(set(statuses))}


async def test_a_scan_of_a_thousand_paths_is_cut_off_after_ten(
    client: httpx.AsyncClient, redis_url: str, backends: ScriptedBackends
) -> None:
    scanner = anywhere()
    paths = [SCANNED[number % len(SCANNED)].format(number) for number in range(1_000)]
    answers = [await client.get(path, headers=scanner) for path in paths[:11]]
    before = await script_calls(redis_url)
    answers += [await client.get(path, headers=scanner) for path in paths[11:]]
    assert [answer.status_code for answer in answers] == [404] * 10 + [429] * 990
    assert answers[10].json()["error"] == "rate_limited"
    assert 3_590 < int(answers[10].headers["Retry-After"]) <= 3_600
    assert 3_500 < int(answers[-1].headers["Retry-After"]) <= 3_600
    assert await script_calls(redis_url) == before  # a blocked address costs no call
    assert backends.was_not_called()
    assert (await client.get("/nothing", headers=anywhere())).status_code == 404


async def test_a_blocked_address_is_refused_everywhere_and_by_every_gateway(
    client: httpx.AsyncClient, settings: GatewaySettings, bearer: Bearer, backends: ScriptedBackends
) -> None:
    backends.answers["ListEvents"] = catalog_pb2.ListEventsResponse()
    scanner = anywhere()
    async with gateway(settings) as other:
        for number in range(11):
            await client.get(f"/nothing/{number}", headers=scanner)
        calls = [("GET", "/api/v1/events"), ("GET", "/openapi.json"), ("POST", BOOKINGS)]
        for method, path in calls:
            headers = {**bearer(), **scanner}
            answer = await client.request(method, path, json={"quantity": 1}, headers=headers)
            assert answer.status_code == 429
            assert answer.headers["Retry-After"]

        async def is_refused() -> bool:
            return (await other.get("/api/v1/events", headers=scanner)).status_code == 429

        async with asyncio.timeout(5 * READ_SECONDS):
            while not await is_refused():
                await asyncio.sleep(0.05)
        for probe in ("/livez", "/readyz"):
            assert (await client.get(probe, headers=scanner)).status_code == 200


async def test_addresses_that_browsers_request_by_themselves_are_no_scan(
    client: httpx.AsyncClient,
) -> None:
    office = anywhere()
    answers = [await client.get("/favicon.ico", headers=office) for _ in range(20)]
    assert counted(answers) == {404: 20}


async def test_unknown_ids_of_known_routes_are_no_scan(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    headers = {**bearer(), **anywhere()}
    answers = [await client.get(f"/api/v1/tickets/{n}", headers=headers) for n in range(20)]
    assert counted(answers) == {404: 20}


async def test_what_an_untrusted_peer_forwards_is_ignored(settings: GatewaySettings) -> None:
    async with gateway(settings.model_copy(update={"trusted_proxies": "10.0.0.0/8"})) as client:
        answers = [await client.get("/nothing", headers=anywhere()) for _ in range(20)]
    assert counted(answers) == {404: 10, 429: 10}


async def test_an_address_is_the_same_however_its_list_is_split_over_fields(
    client: httpx.AsyncClient,
) -> None:
    real = anywhere()["X-Forwarded-For"]
    answers = [
        await client.get(
            "/nothing", headers=[("X-Forwarded-For", f"10.0.0.{n}"), ("X-Forwarded-For", real)]
        )
        for n in range(20)
    ]
    assert counted(answers) == {404: 10, 429: 10}


def wrong_password(backends: ScriptedBackends) -> None:
    backends.answers["Login"] = ScriptedError(
        grpc.StatusCode.UNAUTHENTICATED, "invalid_credentials"
    )


async def test_concurrent_guesses_from_one_address_cannot_exceed_its_limit(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    wrong_password(backends)
    attacker = anywhere()
    answers = await asyncio.gather(
        *(
            client.post(
                LOGIN,
                json={"email": f"{uuid4()}@people.example", "password": PASSWORD},
                headers=attacker,
            )
            for _ in range(60)
        )
    )
    assert counted(list(answers)) == {401: 10, 429: 50}
    assert len(backends.requests["Login"]) == 10  # a refused guess costs no password hash
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["RateLimit-Policy"] == '"failed-logins-per-address";q=10;w=900'
    assert refused.headers["RateLimit"].startswith('"failed-logins-per-address";r=0;t=')
    assert 0 < int(refused.headers["Retry-After"]) <= 90


async def test_guesses_for_one_account_are_limited_over_all_addresses_and_writings(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    wrong_password(backends)
    name = f"ann-{uuid4()}"
    writings = (
        f"{name}@bücher.example",
        f"{name.upper()}@BÜCHER.example",
        f"{name}@xn--bcher-kva.example",
        f" {name}@b\uff55\u0308cher.example ",  # a full-width letter and a combining mark
    )
    answers = [
        await client.post(
            LOGIN,
            json={"email": writings[number % len(writings)], "password": PASSWORD},
            headers=anywhere(),
        )
        for number in range(20)
    ]
    assert counted(answers) == {401: 5, 429: 15}


async def test_credential_stuffing_is_cut_off_at_each_address(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    """The attack has 1,000 e-mail addresses and 50 addresses; here 100 and 5."""
    wrong_password(backends)
    addresses = [anywhere() for _ in range(5)]
    victims = [f"{uuid4()}@people.example" for _ in range(100)]
    answers = await asyncio.gather(
        *(
            client.post(
                LOGIN, json={"email": victim, "password": PASSWORD}, headers=addresses[number % 5]
            )
            for number, victim in enumerate(victims * 2)
        )
    )
    assert counted(list(answers)) == {401: 50, 429: 150}


async def test_successful_logins_are_not_counted(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["Login"] = identity_pb2.LoginResponse(
        tokens=identity_pb2.Tokens(access_token="t", expires_in=900)
    )
    body = {"email": f"{uuid4()}@people.example", "password": PASSWORD}
    headers = anywhere()
    answers = [await client.post(LOGIN, json=body, headers=headers) for _ in range(15)]
    assert counted(answers) == {200: 15}


async def test_a_login_that_identity_did_not_receive_is_not_counted(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["Login"] = ScriptedError(grpc.StatusCode.UNAVAILABLE, "unavailable")
    body = {"email": f"{uuid4()}@people.example", "password": PASSWORD}
    headers = anywhere()
    answers = [await client.post(LOGIN, json=body, headers=headers) for _ in range(15)]
    assert counted(answers) == {503: 15}


@pytest.mark.parametrize("batching", [True, False])
async def test_both_routes_of_bookings_share_a_limit_and_send_no_refused_one(
    settings: GatewaySettings,
    backends: ScriptedBackends,
    booking: booking_pb2.Booking,
    bearer: Bearer,
    batching: bool,
) -> None:
    granted = booking_pb2.CreateBookingResponse(booking=booking)
    sent = 0

    def one(_request: booking_pb2.CreateBookingRequest) -> booking_pb2.CreateBookingResponse:
        nonlocal sent
        sent += 1
        return granted

    def many(
        batch: booking_pb2.BatchCreateBookingsRequest,
    ) -> booking_pb2.BatchCreateBookingsResponse:
        nonlocal sent
        sent += len(batch.requests)
        results = [booking_pb2.BatchResult(created=granted)] * len(batch.requests)
        return booking_pb2.BatchCreateBookingsResponse(results=results)

    backends.answers |= {"CreateBooking": one, "BatchCreateBookings": many}
    strict = settings.model_copy(update={"limit_bookings_per_user": "5/3600", "batching": batching})
    user = bearer(sub=str(uuid4()))
    async with gateway(strict) as fast, gateway(strict, fast_paths=False) as plain:
        answers = await asyncio.gather(
            *(
                each.post(BOOKINGS, json={"quantity": 1}, headers={**user, **anywhere()})
                for each in (fast, plain)
                for _ in range(20)
            )
        )
    assert counted(list(answers)) == {201: 5, 429: 35}
    assert sent == 5
    for answer in answers:
        assert answer.headers["RateLimit-Policy"] == '"bookings-per-user";q=5;w=3600'
        assert answer.headers["RateLimit"].startswith('"bookings-per-user";r=')
        assert ("Retry-After" in answer.headers) == (answer.status_code == 429)
        assert re.fullmatch("application/(problem[+])?json", answer.headers["Content-Type"])


async def test_a_batch_of_bookings_has_one_call_to_redis(
    client: httpx.AsyncClient,
    redis_url: str,
    backends: ScriptedBackends,
    booking: booking_pb2.Booking,
    bearer: Bearer,
) -> None:
    granted = booking_pb2.CreateBookingResponse(booking=booking)
    backends.answers |= {
        "CreateBooking": granted,
        "BatchCreateBookings": lambda batch: booking_pb2.BatchCreateBookingsResponse(
            results=[booking_pb2.BatchResult(created=granted)] * len(batch.requests)
        ),
    }
    users = [bearer(sub=str(uuid4())) for _ in range(64)]
    before = await script_calls(redis_url)
    answers = await asyncio.gather(
        *(
            client.post(BOOKINGS, json={"quantity": 1}, headers={**user, **anywhere()})
            for user in users
        )
    )
    assert counted(list(answers)) == {201: 64}
    batches = sum(
        len(backends.requests.get(name, ())) for name in backends.answers if "Create" in name
    )
    # The first call of a connection to a Redis without the script is repeated.
    assert await script_calls(redis_url) - before <= 2 * batches < 64


async def test_cached_reads_and_probes_call_no_redis_script(
    client: httpx.AsyncClient,
    redis_url: str,
    backends: ScriptedBackends,
    event: catalog_pb2.Event,
    bearer: Bearer,
) -> None:
    backends.answers |= {
        "GetEvent": catalog_pb2.GetEventResponse(event=event),
        "ListEvents": catalog_pb2.ListEventsResponse(events=[event]),
    }
    before = await script_calls(redis_url)
    for path in (f"/api/v1/events/{EVENT}", "/api/v1/events", "/livez", "/readyz", "/docs"):
        for token in ({}, bearer()):
            answer = await client.get(path, headers={**token, **anywhere()})
            assert answer.status_code == 200
            assert "RateLimit" not in answer.headers  # a shared cache would repeat it to others
    assert await script_calls(redis_url) == before


async def test_cached_reads_are_limited_by_each_process(
    settings: GatewaySettings, backends: ScriptedBackends
) -> None:
    backends.answers["ListEvents"] = catalog_pb2.ListEventsResponse()
    strict = settings.model_copy(update={"limit_reads_per_address": "5/3600"})
    async with gateway(strict) as client:
        reader = anywhere()
        answers = [await client.get("/api/v1/events", headers=reader) for _ in range(8)]
        assert counted(answers) == {200: 5, 429: 3}
        assert answers[-1].headers["RateLimit-Policy"] == '"reads-per-address";q=5;w=3600'
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 720
        assert (await client.get("/api/v1/events", headers=anywhere())).status_code == 200


@pytest.mark.parametrize(
    ("setting", "method", "path", "by_user"),
    [
        ("limit_requests_per_user", "GET", "/api/v1/bookings", True),
        ("limit_requests_per_address", "GET", "/api/v1/bookings", False),
        ("limit_requests_per_address", "POST", "/api/v1/auth/refresh", False),
        ("limit_documents_per_user", "GET", f"/api/v1/tickets/{EVENT}/ticket.pdf", True),
        ("limit_documents_per_address", "GET", f"/api/v1/tickets/{EVENT}/qr.svg", False),
        ("limit_sign_ups_per_address", "POST", "/api/v1/auth/register", False),
        ("limit_bookings_per_address", "POST", BOOKINGS, False),
    ],
)
async def test_each_limit_counts_its_routes(
    settings: GatewaySettings,
    backends: ScriptedBackends,
    bearer: Bearer,
    setting: str,
    method: str,
    path: str,
    by_user: bool,
) -> None:
    refused = ScriptedError(grpc.StatusCode.FAILED_PRECONDITION, "conflict")
    for name in ("ListBookings", "Refresh", "GetTicket", "Register", "CreateBooking"):
        backends.answers[name] = refused
    body = {
        "quantity": 1,
        "refreshToken": "t",
        "email": "ada@people.example",
        "password": PASSWORD,
        "name": "Ada",
    }
    shared_user, shared_address = str(uuid4()), anywhere()
    strict = settings.model_copy(update={setting: "2/3600"})
    async with gateway(strict) as client:
        answers = []
        for _ in range(4):
            user = bearer(sub=shared_user if by_user else str(uuid4()))
            headers = {**user, **(anywhere() if by_user else shared_address)}
            answers.append(await client.request(method, path, json=body, headers=headers))
    assert [answer.status_code == 429 for answer in answers] == [False, False, True, True]
    name = setting.removeprefix("limit_").replace("_", "-")
    assert answers[-1].headers["RateLimit-Policy"] == f'"{name}";q=2;w=3600'


async def test_addresses_of_one_ipv6_network_share_a_limit(client: httpx.AsyncClient) -> None:
    network = anywhere()["X-Forwarded-For"].removesuffix("::1")
    answers = [
        await client.get("/nothing", headers={"X-Forwarded-For": f"{network}:{n:x}::7"})
        for n in range(20)
    ]
    assert counted(answers) == {404: 10, 429: 10}


async def test_pages_of_other_origins_may_read_the_limits(client: httpx.AsyncClient) -> None:
    origin = {"Origin": "https://shop.goticket.test"}
    answer = await client.get("/nothing", headers={**origin, **anywhere()})
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed.split(", "))


def test_every_operation_of_the_document_lists_the_refusal(app: Gateway) -> None:
    for path, item in app.openapi()["paths"].items():
        for operation in item.values():
            if path.startswith("/api/"):
                refusal = operation["responses"]["429"]
                assert refusal["headers"].keys() == {"Retry-After", "RateLimit", "RateLimit-Policy"}
                assert "rate_limited" in refusal["content"]["application/problem+json"]["examples"]


async def test_without_redis_logins_stay_limited_and_buyers_are_served(
    client: httpx.AsyncClient,
    redis_server: RedisBackend,
    backends: ScriptedBackends,
    booking: booking_pb2.Booking,
    bearer: Bearer,
) -> None:
    wrong_password(backends)
    backends.answers["CreateBooking"] = booking_pb2.CreateBookingResponse(booking=booking)
    attacker = anywhere()

    async def guess() -> httpx.Response:
        body = {"email": f"{uuid4()}@people.example", "password": PASSWORD}
        return await client.post(LOGIN, json=body, headers=attacker)

    with_redis = [await guess() for _ in range(4)]
    redis_server.stop()
    try:
        guesses = [await guess() for _ in range(15)]
        buyer = {**bearer(sub=str(uuid4())), **anywhere()}
        bought = [
            await client.post(BOOKINGS, json={"quantity": 1}, headers=buyer) for _ in range(10)
        ]
        scan = [await client.get("/nothing", headers=attacker) for _ in range(15)]
    finally:
        redis_server.start()
    after = await client.get("/api/v1/events", headers=attacker)
    assert counted(with_redis) == {401: 4}
    assert counted(guesses) == {401: 10, 429: 5}  # the limit of this process, from its beginning
    assert counted(bought) == {201: 10}
    assert counted(scan) == {404: 10, 429: 5}
    assert after.status_code == 429  # the block stays


@pytest.mark.parametrize("setting", ["limit_bookings_per_user", "limit_unknown_routes_per_address"])
@pytest.mark.parametrize("rate", ["", "10", "0/60", "10/0", "10 per minute", "2000000/1"])
def test_a_malformed_limit_is_an_error_of_the_settings(
    setting: str, rate: str, settings: GatewaySettings
) -> None:
    given = settings.model_dump() | {setting: rate}
    with pytest.raises(ValueError, match=setting):
        GatewaySettings(**given)
