"""What the services tell all gateways over Redis: hints, never the source of truth.

A lost notice costs nothing but time: whatever listens here also forgets by itself.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import redis.asyncio as redis
from goticket_platform.logs import get_logger
from redis.exceptions import RedisError

SOLD_OUT_CHANNEL = "goticket:sold-out"
"""{"eventId", "ticketTypeId", "available", "version"}: a type is sold out, or is no more."""
EVENT_CHANGED_CHANNEL = "goticket:event-changed"
"""{"eventId", "version"}: the catalog has another version."""
LISTS_GENERATION_KEY = "goticket:{events}:generation"
"""A random text, replaced before each notice of EVENT_CHANGED_CHANNEL: lists kept with another
are old."""

RETRY_SECONDS = 0.5
CONNECT_SECONDS = 1.0
SILENCE_SECONDS = 5.0
"""A connection that said nothing for so long is asked whether it lives."""

logger = get_logger(__name__)

Handler = Callable[[Mapping[str, Any]], None]


async def follow(
    url: str, handlers: Mapping[str, Handler], on_subscribed: Callable[[], None] | None = None
) -> None:
    """Hand every notice to the handler of its channel, until cancelled.

    `on_subscribed` is called whenever notices may have been missed before.
    """
    lost = False
    while True:
        try:
            async with redis.Redis.from_url(
                url,
                decode_responses=True,
                socket_connect_timeout=CONNECT_SECONDS,
                health_check_interval=SILENCE_SECONDS,
            ) as client:
                await _listen(client, handlers, on_subscribed)
        except (RedisError, OSError, TimeoutError) as error:
            if not lost:
                logger.warning("notices are not heard", error=type(error).__name__)
            lost = True
        await asyncio.sleep(RETRY_SECONDS)


async def _listen(
    client: redis.Redis,
    handlers: Mapping[str, Handler],
    on_subscribed: Callable[[], None] | None,
) -> None:
    async with client.pubsub() as channels:
        await channels.subscribe(*handlers)
        if on_subscribed:
            on_subscribed()
        while True:
            # The timeout gives the health check its turn.
            message = await channels.get_message(
                ignore_subscribe_messages=True, timeout=SILENCE_SECONDS
            )
            if message:
                _hand_over(handlers, message)


def _hand_over(handlers: Mapping[str, Handler], message: Mapping[str, Any]) -> None:
    try:
        handlers[message["channel"]](json.loads(message["data"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("notice not understood", channel=message.get("channel"), error=str(error))
