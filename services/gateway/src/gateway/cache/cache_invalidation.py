"""Messages that invalidate this process's caches: hints, never the source of truth.

A lost message only costs freshness: every cache entry also expires by itself. So neither
Redis nor RabbitMQ is needed for readiness.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import redis.asyncio as redis
from goticket_contracts.event_types import EVENT_CANCELLED, EVENT_PUBLISHED, EVENT_UPDATED
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broadcast import consume_broadcast
from goticket_platform.messaging.cloudevents import ReceivedMessage
from redis.exceptions import RedisError

CATALOG_TYPES = (EVENT_PUBLISHED, EVENT_UPDATED, EVENT_CANCELLED)

RETRY_SECONDS = 0.5
CONNECT_SECONDS = 1.0
HEALTH_CHECK_SECONDS = 5.0
"""After this long without a message the connection is checked."""

logger = get_logger(__name__)

OnMessage = Callable[[Mapping[str, Any]], None]


async def subscribe(
    url: str, handlers: Mapping[str, OnMessage], on_subscribed: Callable[[], None] | None = None
) -> None:
    """Pass every message of a Redis channel to its handler, until cancelled.

    `on_subscribed` is called whenever messages may have been missed before.
    """
    lost = False
    while True:
        try:
            async with redis.Redis.from_url(
                url,
                decode_responses=True,
                socket_connect_timeout=CONNECT_SECONDS,
                health_check_interval=HEALTH_CHECK_SECONDS,
            ) as client:
                await _receive(client, handlers, on_subscribed)
        except (RedisError, OSError, TimeoutError) as error:
            if not lost:
                logger.warning("redis subscription lost", error=type(error).__name__)
            lost = True
        await asyncio.sleep(RETRY_SECONDS)


async def consume_catalog(
    amqp_url: str,
    on_changed: Callable[[str, int], Awaitable[None]],
    on_subscribed: Callable[[], None],
    stop: Stop,
) -> None:
    """Pass the id and version of every event that the catalog changed on, until `stop`."""

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
    on_subscribed: Callable[[], None] | None,
) -> None:
    async with client.pubsub() as channels:
        await channels.subscribe(*handlers)
        if on_subscribed:
            on_subscribed()
        while True:
            # The timeout lets the health check run.
            message = await channels.get_message(
                ignore_subscribe_messages=True, timeout=HEALTH_CHECK_SECONDS
            )
            if message:
                _handle(handlers, message)


def _handle(handlers: Mapping[str, OnMessage], message: Mapping[str, Any]) -> None:
    try:
        handlers[message["channel"]](json.loads(message["data"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("message not understood", channel=message.get("channel"), error=str(error))
