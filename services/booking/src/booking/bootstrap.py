"""Constructs every object of server, relay, worker and sweeper from settings."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import asyncpg
import grpc
from goticket.booking.v1 import booking_pb2_grpc, notification_data_pb2_grpc
from goticket_contracts.topology import BOOKING_CATALOG_EVENTS
from goticket_platform.batching import Batcher
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging import relay_process
from goticket_platform.messaging.consumer import Consumer
from goticket_platform.messaging.inbox import prune_inbox_periodically
from goticket_platform.messaging.outbox import OutboxNotifier
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import INDEX_ONLY_SETTINGS, is_transient, open_pool
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.server import serve_grpc
from goticket_platform.telemetry import inject_context
from prometheus_client import Gauge, Histogram
from redis.asyncio import Redis

from booking.adapters.availability import RedisAvailability
from booking.adapters.batched_submitter import BatchedSubmitter, batching_limits, open_batcher
from booking.adapters.catalog import CatalogClient, event_of_state
from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.postgres.transaction import SCHEMA
from booking.adapters.ticket_codes import TicketSigner
from booking.application.booking_context import BookingContext, BookingResult
from booking.application.booking_submitter import BookingSubmitter, UnbatchedSubmitter
from booking.application.commands.commit_bookings import commit_bookings
from booking.application.commands.prepare_booking import PreparedBooking
from booking.application.commands.provision_event import ProvisionEvent
from booking.application.in_flight_keys import InFlightKeys
from booking.application.ports import AvailabilityPublisher, Catalog
from booking.config import RelaySettings, ServeSettings, SweeperSettings, WorkerSettings
from booking.domain.booking import IssuedTicket, IssueTicket
from booking.entrypoints import notification_data
from booking.entrypoints.catalog_events import catalog_event_handler
from booking.entrypoints.grpc import SERVICE_NAME, BookingService
from booking.entrypoints.grpc_errors import ERRORS
from booking.entrypoints.notification_data import NotificationDataService
from booking.entrypoints.sweeper import Sweeper

BATCHER_CLOSE_TIMEOUT = 3.0
"""Seconds to decide waiting commands once the server has drained; part of the shutdown grace."""
BATCH_QUEUES = Gauge(
    "goticket_booking_batch_queues", "Events with commands that wait or are in a transaction"
)
BATCH_QUEUE_DEPTH = Gauge("goticket_booking_batch_queue_depth", "Commands that wait")
BATCH_SIZE = Histogram(
    "goticket_booking_batch_size",
    "Commands per transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
SOURCE = "/goticket/booking"
"""CloudEvents source of booking's messages."""


@asynccontextmanager
async def open_bookings(
    database_url: str, availability: AvailabilityPublisher, pool_size: int = 4
) -> AsyncIterator[tuple[PostgresBookings, asyncpg.Pool]]:
    """Open the schema `booking` and its pool."""
    pool = await open_pool(database_url, max_size=pool_size, settings=INDEX_ONLY_SETTINGS)
    notifier = OutboxNotifier(pool, SCHEMA)
    try:
        yield PostgresBookings(pool, notifier, availability), pool
    finally:
        await notifier.close()
        await pool.close()


@asynccontextmanager
async def server(settings: ServeSettings) -> AsyncIterator[int]:
    """Run the gRPC server and the ops port; yield the gRPC port once the server is ready."""
    signer = TicketSigner(settings.ticket_key, settings.retired_ticket_keys)
    health = Health()
    async with (
        Redis.from_url(settings.redis_url) as redis,
        open_channel(settings.catalog_target) as channel,
        open_bookings(settings.database_url, RedisAvailability(redis), settings.pool_size) as (
            bookings,
            pool,
        ),
        serve_ops(settings.metrics_listen, health),
    ):
        # Redis and the catalog are no checks: without them most calls still succeed.
        health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
        hold_for = timedelta(seconds=settings.hold_seconds)
        context = replace(
            booking_context(bookings, CatalogClient(channel), signer, hold_for),
            max_holds=settings.max_holds_per_buyer,
        )
        async with open_submitter(settings, context, RedisAvailability(redis)) as submitter:
            service = BookingService(
                creation=context,
                submitter=submitter,
                queries=bookings,
                check_in=bookings,
                inventories=bookings,
                availability=RedisAvailability(redis),
                ticket_keys=signer.public_keys,
                extend_holds_by=timedelta(seconds=settings.hold_extension_seconds),
            )
            details = NotificationDataService(
                queries=bookings,
                buyers=bookings,
                token=settings.notification_token.get_secret_value(),
            )
            async with serve_grpc(
                settings.grpc_listen,
                ERRORS,
                _registration(service, details),
                [SERVICE_NAME, notification_data.SERVICE_NAME],
                health,
            ) as port:
                health.ready = True
                yield port


@asynccontextmanager
async def open_submitter(
    settings: ServeSettings, context: BookingContext, availability: AvailabilityPublisher
) -> AsyncIterator[BookingSubmitter]:
    """Open the submitter of commands, with a pool of its own.

    So waiting commands never hold a connection that a read, a cancellation or a health
    check needs.
    """
    if not settings.batching:
        yield UnbatchedSubmitter(context)
        return
    async with open_bookings(settings.database_url, availability, settings.batch_pool_size) as (
        bookings,
        _,
    ):
        batch_context = replace(context, bookings=bookings)
        batcher: Batcher[UUID, PreparedBooking, BookingResult] = open_batcher(
            partial(commit_bookings, context=batch_context),
            is_transient=is_transient,
            limits=batching_limits(
                max_batch_size=settings.batch_size,
                max_in_flight=settings.batch_pool_size,
                solo_threshold=settings.solo_threshold,
                max_waiting_per_event=settings.queue_per_event,
                max_waiting=settings.queue_total,
            ),
            on_commit=BATCH_SIZE.observe,
        )
        BATCH_QUEUES.set_function(batcher.__len__)
        BATCH_QUEUE_DEPTH.set_function(lambda: batcher.waiting)
        try:
            yield BatchedSubmitter(batch_context, batcher)
        finally:
            await batcher.close(BATCHER_CLOSE_TIMEOUT)


def booking_context(
    bookings: PostgresBookings, catalog: Catalog, signer: TicketSigner, hold_for: timedelta
) -> BookingContext:
    """Construct what the creation of bookings needs."""
    return BookingContext(
        bookings=bookings,
        provision=ProvisionEvent(catalog, bookings),
        in_flight_keys=InFlightKeys(),
        issue=_ticket_issuer(signer),
        new_id=new_id,
        now=now,
        hold_for=hold_for,
        message_headers=inject_context,
    )


async def run_server(settings: ServeSettings, stop: Stop) -> None:
    """Serve until the stop."""
    async with server(settings):
        await stop.wait()


async def run_relay(settings: RelaySettings, stop: Stop) -> None:
    """Publish outbox messages until the stop."""
    await relay_process.run_relay(
        dsn=settings.database_url,
        amqp_url=settings.amqp_url,
        schema=SCHEMA,
        source=SOURCE,
        metrics_listen=settings.metrics_listen,
        stop=stop,
    )


async def run_worker(settings: WorkerSettings, stop: Stop) -> None:
    """Consume the catalog's messages until the stop."""
    health = Health()
    async with (
        Redis.from_url(settings.redis_url) as redis,
        open_bookings(settings.database_url, RedisAvailability(redis)) as (bookings, pool),
        serve_ops(settings.metrics_listen, health),
    ):
        handle = catalog_event_handler(bookings, event_of_state)
        consumer = Consumer(settings.amqp_url, BOOKING_CATALOG_EVENTS, handle)
        health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
        health.add_check("rabbitmq", consumer.check)
        health.ready = True
        async with asyncio.TaskGroup() as tasks:
            retention = timedelta(days=settings.inbox_days)
            tasks.create_task(prune_inbox_periodically(pool, SCHEMA, retention, stop))
            await consumer.run(stop)


async def run_sweeper(settings: SweeperSettings, stop: Stop) -> None:
    """Do due work until the stop."""
    health = Health()
    async with (
        Redis.from_url(settings.redis_url) as redis,
        open_channel(settings.catalog_target) as channel,
        open_bookings(settings.database_url, RedisAvailability(redis)) as (bookings, pool),
        serve_ops(settings.metrics_listen, health),
    ):
        health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
        health.ready = True
        sweeper = Sweeper(bookings, bookings, CatalogClient(channel), now)
        await sweeper.run(stop)


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def _ticket_issuer(signer: TicketSigner) -> IssueTicket:
    def issue(event_id: UUID) -> IssuedTicket:
        ticket_id = new_id()
        return IssuedTicket(ticket_id, signer.sign(ticket_id, event_id))

    return issue


def _registration(
    service: BookingService, details: NotificationDataService
) -> Callable[[grpc.aio.Server], None]:
    def register(server: grpc.aio.Server) -> None:
        booking_pb2_grpc.add_BookingServiceServicer_to_server(service, server)
        notification_data_pb2_grpc.add_NotificationDataServiceServicer_to_server(details, server)

    return register
