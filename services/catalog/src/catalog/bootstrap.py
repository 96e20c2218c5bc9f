"""Constructs the catalog's processes from their settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import grpc
from goticket.catalog.v1.catalog_pb2_grpc import add_CatalogServiceServicer_to_server
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging import relay_process
from goticket_platform.messaging.outbox import Outbox, OutboxNotifier
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import open_pool
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.server import serve_grpc

from catalog.adapters.booking_inventory import BookingInventory
from catalog.adapters.event_repository import SESSION_SETTINGS, PostgresEventRepository
from catalog.adapters.schedules import PostgresScheduleSource
from catalog.application.find_moved_events import find_moved_events
from catalog.application.ports import Clock, Inventory
from catalog.config import CatalogSettings, RelaySettings, ServeSettings
from catalog.entrypoints.grpc import SERVICE_NAME, CatalogService
from catalog.entrypoints.grpc_errors import ERRORS
from catalog.entrypoints.moved_events import moved_event_line

SCHEMA = "catalog"
SOURCE = "/goticket/catalog"
"""CloudEvents source of the messages that the relay publishes."""


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


async def run_server(settings: ServeSettings, stop: Stop) -> None:
    """Serve gRPC calls until `stop`, then finish the calls in flight."""
    health = Health()
    async with (
        opened_pool(settings.database_url, health) as pool,
        open_channel(settings.booking_target) as channel,
        serve_ops(settings.metrics_listen, health),
        serving(settings.grpc_listen, pool, BookingInventory(channel), health),
    ):
        await stop.wait()


async def run_relay(settings: RelaySettings, stop: Stop) -> None:
    """Publish the outbox until `stop`."""
    await relay_process.run_relay(
        dsn=settings.database_url,
        amqp_url=settings.amqp_url,
        schema=SCHEMA,
        source=SOURCE,
        metrics_listen=settings.metrics_listen,
        stop=stop,
    )


async def moved_events(settings: CatalogSettings) -> list[str]:
    """Return a line for each event whose local times other time zone rules have moved."""
    pool = await open_pool(settings.database_url)
    try:
        found = find_moved_events(schedules=PostgresScheduleSource(pool), clock=now)
        return [moved_event_line(schedule, present) async for schedule, present in found]
    finally:
        await pool.close()


@asynccontextmanager
async def serving(
    listen: str, pool: asyncpg.Pool, inventory: Inventory, health: Health, clock: Clock = now
) -> AsyncIterator[int]:
    """Serve the catalog on `listen` ("host:port", port 0 for any); yield the port."""
    notifier = OutboxNotifier(pool, SCHEMA)
    events = PostgresEventRepository(pool, Outbox(SCHEMA), notifier)
    service = CatalogService(events, inventory, clock, new_id)

    def register(server: grpc.aio.Server) -> None:
        add_CatalogServiceServicer_to_server(service, server)

    try:
        async with serve_grpc(listen, ERRORS, register, [SERVICE_NAME], health) as port:
            health.ready = True
            yield port
    finally:
        await notifier.close()


@asynccontextmanager
async def opened_pool(dsn: str, health: Health) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool, add its check to `health`, and close the pool at the end."""
    pool = await open_pool(dsn, settings=SESSION_SETTINGS)
    health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
    try:
        yield pool
    finally:
        await pool.close()
