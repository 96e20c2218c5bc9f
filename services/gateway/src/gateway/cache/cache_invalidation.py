"""Messages that invalidate this process's caches: hints, never the source of truth.

A lost message only costs freshness, because every cache entry also expires. So the gateway
is ready without Redis and RabbitMQ.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from goticket_contracts.permissions import BROADCASTS
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broadcast import consume_broadcast
from goticket_platform.messaging.cloudevents import ReceivedMessage
from goticket_platform.retry import Outage, RetryPolicy, retry_until_stopped
from redis.asyncio.client import PubSub
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

CATALOG_TYPES = BROADCASTS["gateway"]

RECONNECT = RetryPolicy(first_wait=0.2, longest_wait=1.0)
CONNECT_SECONDS = 1.0
HEALTH_CHECK_SECONDS = 5.0
"""After this long without a message the connection is checked."""

logger = get_logger(__name__)

OnMessage = Callable[[Mapping[str, Any]], None]

_INVALIDATIONS = "__redis__:invalidate"


@dataclass(frozen=True)
class KeyTracking:
    """Redis reports every write to keys with this prefix.

    Source: https://redis.io/docs/latest/develop/reference/client-side-caching/ (broadcasting).
    """

    prefix: str
    on_write: Callable[[str | None], None]
    """Called with the key that was written; None means every key."""
    set_active: Callable[[bool], None]
    """Called when the reports start and when they are lost."""


async def subscribe(
    url: str,
    handlers: Mapping[str, OnMessage],
    on_subscribed: Callable[[], None] | None = None,
    tracking: KeyTracking | None = None,
) -> None:
    """Pass every message of a Redis channel to its handler, until cancelled.

    `on_subscribed` is called whenever messages may have been missed before.
    """

    async def session(outage: Outage) -> None:
        try:
            async with redis.Redis.from_url(
                url,
                decode_responses=True,
                socket_connect_timeout=CONNECT_SECONDS,
                health_check_interval=HEALTH_CHECK_SECONDS,
                # A connection that the client restores automatically would track nothing.
                retry=Retry(NoBackoff(), 0),
                # RESP2, in which reports of writes come as messages of a channel.
                protocol=2,
            ) as client:
                await _receive(client, handlers, outage, on_subscribed, tracking)
        finally:
            if tracking:
                tracking.set_active(False)

    await retry_until_stopped(
        Stop(),
        session,
        name="redis subscription",
        is_expected=lambda error: isinstance(error, RedisError | OSError | TimeoutError),
        policy=RECONNECT,
    )


async def consume_catalog(
    amqp_url: str,
    on_changed: Callable[[str, int], Awaitable[None]],
    on_subscribed: Callable[[], None],
    stop: Stop,
) -> None:
    """Pass the id and version of every event that the catalog changed to `on_changed`."""

    async def on_message(message: ReceivedMessage) -> None:
        await on_changed(message.subject, message.version)

    await consume_broadcast(
        amqp_url,
        CATALOG_TYPES,
        on_message,
        name="gateway cache invalidation",
        stop=stop,
        on_subscribed=on_subscribed,
    )


async def _receive(
    client: redis.Redis,
    handlers: Mapping[str, OnMessage],
    outage: Outage,
    on_subscribed: Callable[[], None] | None,
    tracking: KeyTracking | None,
) -> None:
    async with client.pubsub() as channels:
        if tracking:
            await _track(channels, tracking)
        await channels.subscribe(*handlers)
        outage.end()
        if on_subscribed:
            on_subscribed()
        while True:
            # The timeout lets the health check run.
            message = await channels.get_message(timeout=HEALTH_CHECK_SECONDS)
            if message:
                _dispatch(handlers, tracking, message)


async def _track(channels: PubSub, tracking: KeyTracking) -> None:
    """Let this connection receive the reports, before it becomes a subscriber."""
    await channels.execute_command("CLIENT", "ID")
    client_id = await channels.parse_response()
    await channels.execute_command(
        *("CLIENT", "TRACKING", "ON", "REDIRECT", client_id, "BCAST", "PREFIX", tracking.prefix)
    )
    await channels.parse_response()
    await channels.subscribe(_INVALIDATIONS)


def _dispatch(
    handlers: Mapping[str, OnMessage], tracking: KeyTracking | None, message: Mapping[str, Any]
) -> None:
    is_report = message["channel"] == _INVALIDATIONS and tracking is not None
    if message["type"] == "subscribe":
        if is_report and tracking:
            tracking.set_active(True)
    elif is_report and tracking:
        for key in message["data"] or (None,):
            tracking.on_write(key)
    elif message["type"] == "message":
        _handle(handlers, message)


def _handle(handlers: Mapping[str, OnMessage], message: Mapping[str, Any]) -> None:
    try:
        handlers[message["channel"]](json.loads(message["data"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("message is malformed", channel=message.get("channel"), error=str(error))
