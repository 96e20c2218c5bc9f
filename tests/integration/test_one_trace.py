"""One booking is one trace, from the HTTP request to the delivery of the e-mail.

All services run in this process with real servers, constructed by their own bootstraps.
So one in-memory exporter receives every span.
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import booking.bootstrap
import booking.config
import catalog.bootstrap
import catalog.config
import gateway.bootstrap
import gateway.config
import httpx
import identity.bootstrap
import identity.config
import notification.bootstrap
import notification.config
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from goticket_local.ports import free_ports
from goticket_platform.lifecycle import Stop
from goticket_testing.clients import ApiUserFactory, create_booking, create_event, eventually
from goticket_testing.databases import DatabaseFactory
from notification.smtp_client import Tls
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext
from pydantic import SecretStr

ISSUER, AUDIENCE = "https://goticket.example", "goticket"


@dataclass
class Mailbox:
    """An SMTP handler that keeps the e-mails that it receives."""

    received: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd names it
        self.received.append(envelope)
        return "250 OK"


@dataclass(frozen=True)
class System:
    """The services of this process."""

    url: str
    users: ApiUserFactory
    mailbox: Mailbox


@asynccontextmanager
async def running(*processes: Callable[[Stop], Awaitable[None]]) -> AsyncIterator[None]:
    """Run processes during the block, and stop them at its end."""
    stop = Stop()
    async with asyncio.TaskGroup() as tasks:
        for process in processes:
            tasks.create_task(process(stop))  # type: ignore[arg-type]  # every run_… is a coroutine
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
async def system(database: DatabaseFactory, amqp_url: str, redis_url: str) -> AsyncIterator[System]:
    """All services that take part in a booking."""
    ports = [f"127.0.0.1:{port}" for port in free_ports(4)]
    signing_key = base64.b64encode(secrets.token_bytes(32)).decode()
    notification_token = SecretStr(secrets.token_urlsafe(32))
    databases = {
        name: await database(name) for name in ("identity", "catalog", "booking", "notification")
    }
    mailbox = Mailbox()
    smtp = Controller(mailbox, hostname="127.0.0.1", port=free_ports(1)[0])
    smtp.start()
    identity_settings = identity.config.ServeSettings(
        database_url=databases["identity"],
        redis_url=redis_url,
        grpc_listen=ports[0],
        signing_key=base64.b64decode(signing_key),
        issuer=ISSUER,
        audience=AUDIENCE,
    )
    catalog_settings = catalog.config.ServeSettings(
        database_url=databases["catalog"], grpc_listen=ports[1], booking_target=ports[2]
    )
    booking_settings = booking.config.ServeSettings(
        database_url=databases["booking"],
        redis_url=redis_url,
        grpc_listen=ports[2],
        catalog_target=ports[1],
        ticket_key=secrets.token_bytes(32),
        notification_token=notification_token,
    )
    relay_settings = booking.config.RelaySettings(
        database_url=databases["booking"], amqp_url=amqp_url
    )
    worker_settings = notification.config.WorkerSettings(
        database_url=databases["notification"],
        amqp_url=amqp_url,
        booking_target=ports[2],
        booking_token=notification_token,
        smtp_host="127.0.0.1",
        smtp_port=smtp.port,
        smtp_tls=Tls.NONE,
        sender="GoTicket <tickets@goticket.example>",
        public_url="http://127.0.0.1",
    )
    gateway_settings = gateway.config.GatewaySettings(
        listen=ports[3],
        identity_target=ports[0],
        catalog_target=ports[1],
        booking_target=ports[2],
        redis_url=redis_url,
        amqp_url=amqp_url,
        issuer=ISSUER,
        audience=AUDIENCE,
    )
    async with running(
        lambda stop: identity.bootstrap.run_server(identity_settings, stop),
        lambda stop: catalog.bootstrap.run_server(catalog_settings, stop),
        lambda stop: booking.bootstrap.run_server(booking_settings, stop),
        lambda stop: booking.bootstrap.run_relay(relay_settings, stop),
        lambda stop: notification.bootstrap.run_worker(worker_settings, stop),
        lambda stop: gateway.bootstrap.run_gateway(gateway_settings, stop),
    ):
        yield System(f"http://{ports[3]}", ApiUserFactory(signing_key, ISSUER, AUDIENCE), mailbox)
    smtp.stop()


def context_of(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


async def test_one_booking_is_one_trace_from_http_to_smtp(
    system: System, spans: InMemorySpanExporter
) -> None:
    organizer, buyer = system.users.create("organizer"), system.users.create()
    async with httpx.AsyncClient(base_url=system.url, timeout=30) as api:

        async def ready() -> bool:
            try:
                return (await api.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready)
        event = await create_event(api, organizer)
        spans.clear()
        assert (await create_booking(api, buyer, event["id"])).status_code == 201

        async def email_received() -> bool:
            return bool(system.mailbox.received)

        await eventually(email_received)

    def booking_trace() -> list[ReadableSpan]:
        finished = spans.get_finished_spans()
        roots = [span for span in finished if span.name.startswith("POST /api/v1/events/")]
        assert len(roots) == 1
        trace_id = context_of(roots[0]).trace_id
        return [span for span in finished if context_of(span).trace_id == trace_id]

    async def complete() -> list[str] | None:
        names = [span.name for span in booking_trace()]
        return names if any(name.endswith(" process") for name in names) else None

    names = await eventually(complete)
    for stage in (
        "POST /api/v1/events/{event_id}/bookings",
        "goticket.booking.v1.BookingService/CreateBooking",
        "goticket.catalog.v1.CatalogService/",
        "goticket.events publish",
        "notification.events process",
        "goticket.booking.v1.NotificationDataService/",
        "SMTP",
    ):
        assert any(stage.lower() in name.lower() for name in names), (stage, names)
    ids = {context_of(span).span_id for span in booking_trace()}
    orphans = [
        span.name for span in booking_trace() if span.parent and span.parent.span_id not in ids
    ]
    assert orphans == []
