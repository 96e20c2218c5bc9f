"""Constructs every object of the gateway from its settings."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from goticket_contracts.redis_names import EVENT_CHANGED_CHANNEL, SOLD_OUT_CHANNEL
from goticket_platform.caching import CacheBudget, SharedCache, open_cache_redis
from goticket_platform.lifecycle import Stop
from goticket_platform.ops import Health, serve_ops
from goticket_platform.rpc.assertions import AssertionSigner
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.tls import TlsFiles

from gateway.booking_submission.batched_submitter import QUEUE_DEPTH, BatchedSubmitter
from gateway.booking_submission.fast_path import BODIES_BYTES
from gateway.booking_submission.pipeline import BookingPipeline
from gateway.booking_submission.sold_out_cache import SoldOutCache
from gateway.booking_submission.submitter import BookingSubmitter
from gateway.booking_submission.unbatched_submitter import UnbatchedSubmitter
from gateway.cache.availability_reader import KEY_PREFIX as AVAILABILITY_KEYS
from gateway.cache.availability_reader import AvailabilityReader
from gateway.cache.cache_invalidation import KeyTracking, consume_catalog, subscribe
from gateway.cache.event_cache import EventCache
from gateway.clients import Backends
from gateway.clients.booking import BookingClient
from gateway.clients.catalog import CatalogClient
from gateway.clients.identity import IdentityClient
from gateway.components import Components
from gateway.config import GatewaySettings
from gateway.http.access_log_writer import AccessLogWriter
from gateway.http.app import create_app
from gateway.http.client_address import CLIENTS_BYTES, ClientAddresses
from gateway.http.cors import ORIGINS_BYTES
from gateway.http.problems import MEMBERS_BYTES
from gateway.http.server import bind, serve
from gateway.rate_limits.blocked_clients import BLOCKED_BYTES, BlockedClients
from gateway.rate_limits.local_limiter import BUCKETS_BYTES, LocalLimiter
from gateway.rate_limits.redis_limiter import RedisLimiter
from gateway.rate_limits.request_limits import RequestLimits
from gateway.rest.events.public_reads import PublicReads
from gateway.rest.events.query import QUERIES_BYTES
from gateway.rest.read_fast_path import PATHS_BYTES
from gateway.rest.tickets.reads import DRAWINGS_BYTES
from gateway.rest.tickets.ticket_pdf import TicketPrinter, open_pool
from gateway.security.authentication import TokenVerifier
from gateway.security.key_ring import KeyRing

CANCEL_AGAIN_SECONDS = 0.1
REDIS_SECONDS = 0.05
"""Time limit of Redis; booking answers faster than a stalled cache."""
RATE_LIMIT_SECONDS = 0.25
"""Time limit of Redis for rate limits. It is longer, because what is decided without Redis is
decided by each process alone."""
REDIS_CONNECTIONS = 64
CACHES_WITH_OWN_BOUND = (
    BLOCKED_BYTES,
    BODIES_BYTES,
    2 * BUCKETS_BYTES,
    CLIENTS_BYTES,
    DRAWINGS_BYTES,
    MEMBERS_BYTES,
    ORIGINS_BYTES,
    PATHS_BYTES,
    QUERIES_BYTES,
)
"""Caches that are functions or modules, with the memory of their largest content."""


@asynccontextmanager
async def open_components(settings: GatewaySettings) -> AsyncIterator[Components]:
    """Open channels and Redis, which connect when first used; close them afterwards."""
    async with AsyncExitStack() as resources:
        signer = AssertionSigner("gateway", settings.rpc_key)
        identity = IdentityClient(
            await _channel(resources, settings.identity_target, signer, settings.tls)
        )
        catalog = CatalogClient(
            await _channel(resources, settings.catalog_target, signer, settings.tls)
        )
        booking = BookingClient(
            await _channel(resources, settings.booking_target, signer, settings.tls),
            batch_reads=settings.batching,
        )
        access_log = AccessLogWriter()
        resources.callback(access_log.close)
        client = open_cache_redis(
            settings.redis_url, timeout=REDIS_SECONDS, max_connections=REDIS_CONNECTIONS
        )
        resources.push_async_callback(client.aclose)
        shared = SharedCache(client)
        budget = _cache_budget(resources, settings)
        sold_out = SoldOutCache(budget)
        events = EventCache(catalog, shared, budget)
        availability = AvailabilityReader(shared, booking.availability, budget)
        _invalidate_caches(resources, settings, sold_out, events, availability)
        printing = open_pool()
        resources.push_async_callback(printing.close)
        keys = KeyRing(identity.jwks_json, time.monotonic)
        verifier = TokenVerifier(keys, budget, issuer=settings.issuer, audience=settings.audience)
        limits = _request_limits(resources, settings, verifier)
        submitter = _submitter(resources, settings, booking, limits)
        yield Components(
            backends=Backends(identity=identity, catalog=catalog, booking=booking),
            booking_pipeline=BookingPipeline(submitter, sold_out, events, limits),
            public_reads=PublicReads(events, availability, budget),
            keys=keys,
            verifier=verifier,
            health=Health(),
            access_log=access_log,
            addresses=ClientAddresses(settings.proxies),
            limits=limits,
            ticket_printer=TicketPrinter(printing, budget),
        )


def _cache_budget(resources: AsyncExitStack, settings: GatewaySettings) -> CacheBudget:
    """Return the budget of all caches, less the memory of those with a bound of their own."""
    budget = CacheBudget(settings.cache_bytes)
    for size in CACHES_WITH_OWN_BOUND:
        budget.reserve(size)
    budget.export_metrics()
    _run(resources, budget.remove_expired_regularly())
    return budget


def _request_limits(
    resources: AsyncExitStack,
    settings: GatewaySettings,
    verifier: TokenVerifier,
) -> RequestLimits:
    """Return the rate limits, and start to follow the blocks of other gateways."""
    client = open_cache_redis(
        settings.redis_url, timeout=RATE_LIMIT_SECONDS, max_connections=REDIS_CONNECTIONS
    )
    resources.push_async_callback(client.aclose)
    policy = settings.rate_limits
    blocked = BlockedClients(SharedCache(client), policy.unknown_routes_per_address.block_seconds)
    _run(resources, blocked.read_regularly())
    return RequestLimits(
        policy,
        RedisLimiter(client, LocalLimiter(time.monotonic)),
        LocalLimiter(time.monotonic),
        blocked,
        verifier,
    )


def _submitter(
    resources: AsyncExitStack,
    settings: GatewaySettings,
    booking: BookingClient,
    limits: RequestLimits,
) -> BookingSubmitter:
    if not settings.batching:
        return UnbatchedSubmitter(booking.create, admit=limits.admit_many)
    submitter = BatchedSubmitter(booking.create, booking.create_many, admit=limits.admit_many)
    QUEUE_DEPTH.set_function(lambda: submitter.waiting)
    resources.push_async_callback(submitter.close)
    return submitter


def _invalidate_caches(
    resources: AsyncExitStack,
    settings: GatewaySettings,
    sold_out: SoldOutCache,
    events: EventCache,
    availability: AvailabilityReader,
) -> None:
    """Start to receive the messages that invalidate caches."""
    handlers = {
        SOLD_OUT_CHANNEL: sold_out.on_message,
        EVENT_CHANGED_CHANNEL: events.on_message,
    }
    tracking = KeyTracking(AVAILABILITY_KEYS, availability.on_write, availability.set_tracking)
    _run(resources, subscribe(settings.redis_url, handlers, events.clear, tracking))
    consumer = consume_catalog(settings.amqp_url, events.on_catalog_change, events.clear, Stop())
    _run(resources, consumer)


def _run(resources: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until the resources are closed."""
    resources.push_async_callback(_cancel, asyncio.create_task(work))


async def _cancel(task: asyncio.Task[None]) -> None:
    # Repeated: a client may replace the cancellation by an error that the task handles.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # retrieved, so that it is not reported as lost


async def _channel(
    resources: AsyncExitStack, target: str, signer: AssertionSigner, tls: TlsFiles | None
) -> grpc.aio.Channel:
    channel = open_channel(target, signer, tls)
    resources.push_async_callback(channel.close)
    return channel


async def run_gateway(settings: GatewaySettings, stop: Stop) -> None:
    """Serve the public port and the operations port until `stop`."""
    bound = bind(settings.listen, share=settings.reuse_port)
    async with (
        open_components(settings) as components,
        serve_ops(settings.metrics_listen, components.health),
    ):
        app = create_app(
            components,
            max_body_bytes=settings.max_body_bytes,
            max_in_flight=settings.max_in_flight,
            cors_origins=settings.origins,
            public_metrics=settings.public_metrics,
        )
        app.openapi()  # built now, so that no request waits for it
        await serve(app, bound, components.health, stop, app.retry_throttle.close)
