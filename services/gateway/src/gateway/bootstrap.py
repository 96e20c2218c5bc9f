"""Builds the gateway from its settings: the one place that constructs things."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from goticket_platform.lifecycle import Stop
from goticket_platform.ops import Health, serve_ops
from goticket_platform.rpc.client import open_channel

from gateway.access_lines import AccessLines
from gateway.app import Parts, create_app
from gateway.auth import TokenVerifier
from gateway.availability import Availability, open_redis
from gateway.booking_submission.batched_submitter import QUEUE_DEPTH, BatchedSubmitter
from gateway.booking_submission.submitter import BookingSubmitter
from gateway.booking_submission.unbatched_submitter import UnbatchedSubmitter
from gateway.clients import Backends
from gateway.clients.booking import BookingClient
from gateway.clients.catalog import CatalogClient
from gateway.clients.identity import IdentityClient
from gateway.config import GatewaySettings
from gateway.event_reads import EventReads
from gateway.jwks import KeyRing
from gateway.notices import EVENT_CHANGED_CHANNEL, SOLD_OUT_CHANNEL, follow
from gateway.server import bind, serve
from gateway.sold_out import BookingDesk, SoldOut


@asynccontextmanager
async def open_parts(settings: GatewaySettings) -> AsyncIterator[Parts]:
    """Open channels and Redis, all connecting by themselves when first used; close them after."""
    async with AsyncExitStack() as resources:
        identity = IdentityClient(await _channel(resources, settings.identity_target))
        catalog = CatalogClient(await _channel(resources, settings.catalog_target))
        booking = BookingClient(await _channel(resources, settings.booking_target))
        submitter: BookingSubmitter = UnbatchedSubmitter(booking.create)
        if settings.batching:
            submitter = batched = BatchedSubmitter(booking.create, booking.create_many)
            QUEUE_DEPTH.set_function(lambda: batched.waiting)
            resources.push_async_callback(batched.close)
        sold_out = SoldOut(time.monotonic)
        access_lines = AccessLines()
        resources.callback(access_lines.close)
        cache = open_redis(settings.redis_url)
        resources.push_async_callback(cache.aclose)
        event_reads = EventReads(catalog, cache, time.monotonic)
        following = follow(
            settings.redis_url,
            {
                SOLD_OUT_CHANNEL: sold_out.on_notice,
                EVENT_CHANGED_CHANNEL: event_reads.on_notice,
            },
            event_reads.drop_all,
        )
        resources.push_async_callback(_end, asyncio.create_task(following))
        keys = KeyRing(identity.jwks_json, time.monotonic)
        yield Parts(
            backends=Backends(identity=identity, catalog=catalog, booking=booking),
            desk=BookingDesk(submitter, sold_out),
            availability=Availability(cache, booking.availability),
            event_reads=event_reads,
            keys=keys,
            verifier=TokenVerifier(keys, issuer=settings.issuer, audience=settings.audience),
            health=Health(),
            access_lines=access_lines,
        )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _channel(resources: AsyncExitStack, target: str) -> grpc.aio.Channel:
    channel = open_channel(target)
    resources.push_async_callback(channel.close)
    return channel


async def run_gateway(settings: GatewaySettings, stop: Stop) -> None:
    """Serve the public port and the operations port until `stop`."""
    bound = bind(settings.listen, share=settings.reuse_port)
    async with open_parts(settings) as parts, serve_ops(settings.metrics_listen, parts.health):
        app = create_app(
            parts,
            max_body_bytes=settings.max_body_bytes,
            max_in_flight=settings.max_in_flight,
            cors_origins=settings.origins,
            public_metrics=settings.public_metrics,
        )
        app.openapi()  # built now, so that no request waits for it
        await serve(app, bound, parts.health, stop, app.patience.close)
