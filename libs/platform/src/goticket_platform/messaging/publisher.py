"""Publishes events in batches: all frames first, then all confirms."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aio_pika.abc import AbstractChannel
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from opentelemetry.trace import Span, SpanKind, use_span

from goticket_platform.messaging.cloudevents import PublishedMessage
from goticket_platform.messaging.frames import EventFrames
from goticket_platform.telemetry import extracted_context, inject_context, tracer

CHUNK_BYTES = 64 * 1024
"""How much is handed to the connection at a time."""

_FLAGS = slice(53, 55)
"""Where version 00 of the W3C trace context has its flags; the lowest bit is "sampled"."""


class NotConfirmed(Exception):
    """The broker has not answered."""


@dataclass(frozen=True)
class OutgoingMessage:
    """An event to publish; `headers` carry the trace of the request that caused it."""

    event: PublishedMessage
    headers: Mapping[str, str]


class Publisher:
    """Publishes on one confirming channel that raises on return.

    Goes past `Exchange.publish`, whose task, timer and general encoder for each message
    cost several times what the rest of the relay does. Like it, it numbers a message in
    the step that queues its frames, so that every confirm finds the message it is about.
    """

    def __init__(self, channel: Channel, exchange: str) -> None:
        self._channel = channel
        self._exchange = exchange
        frame_max = channel.connection.connection_tune.frame_max
        self._frames = EventFrames(channel.number, exchange, frame_max)

    @classmethod
    async def on(cls, channel: AbstractChannel, exchange: str) -> "Publisher":
        """Publish to `exchange` on `channel`."""
        underlay = await channel.get_underlay_channel()
        if not isinstance(underlay, Channel):
            raise TypeError(f"{underlay!r} does not count its messages as this does")
        return cls(underlay, exchange)

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing can be published any more."""
        return self._channel.is_closed

    async def publish(
        self, batch: Sequence[OutgoingMessage], seconds: float
    ) -> list[Exception | None]:
        """Publish all, in order; return what became of each, None for "confirmed".

        DeliveryError: the broker did not take it. ValueError, TypeError: it was not
        sent, because nothing could be made of it. Anything else: no answer came, within
        `seconds` or before the connection ended.
        """
        flights = [_Flight(outgoing) for outgoing in batch]
        try:
            async with asyncio.timeout(seconds):
                await self._send(flights)
                confirms = [flight.confirm for flight in flights if flight.confirm]
                if confirms:
                    await asyncio.wait(confirms)
        except Exception as error:  # noqa: BLE001 - a dying connection raises nearly anything
            return [flight.outcome() or error for flight in flights]
        finally:
            self._forget(flights)
        return [flight.outcome() for flight in flights]

    async def _send(self, flights: Sequence["_Flight"]) -> None:
        chunk: list[_Flight] = []
        frames = bytearray()
        for flight in flights:
            try:
                frames += self._frames.encode(flight.event, flight.traced(self._exchange))
            except (ValueError, TypeError) as error:
                flight.unsendable = error
                continue
            chunk.append(flight)
            if len(frames) >= CHUNK_BYTES:
                await self._write(frames, chunk)
                chunk, frames = [], bytearray()
        if chunk:
            await self._write(frames, chunk)

    async def _write(self, frames: bytearray, chunk: Sequence["_Flight"]) -> None:
        channel = self._channel
        drained = channel.create_future()
        frame = ChannelFrame(bytes(frames), should_close=False, drain_future=drained)
        async with channel.lock:
            await channel.write_queue.put(frame)
            # No await from here on: no confirm can come before its number is known, and
            # nobody who is cancelled leaves numbers that the broker does not count.
            for flight in chunk:
                channel.delivery_tag += 1
                channel.message_id_delivery_tag[flight.id] = channel.delivery_tag
                flight.confirm = channel.create_future()
                channel.confirmations[channel.delivery_tag] = flight.confirm
        await drained

    def _forget(self, flights: Sequence["_Flight"]) -> None:
        for flight in flights:
            self._channel.message_id_delivery_tag.pop(flight.id, None)
            flight.end()


class _Flight:
    """One event on its way; its span, if it has one, lasts until the confirm."""

    __slots__ = ("_headers", "_span", "confirm", "event", "id", "unsendable")

    def __init__(self, outgoing: OutgoingMessage) -> None:
        self.event = outgoing.event
        self.id = str(outgoing.event.id)
        self.confirm: asyncio.Future[Any] | None = None
        self.unsendable: Exception | None = None
        self._headers = outgoing.headers
        self._span: Span | None = None

    def traced(self, exchange: str) -> Mapping[str, str]:
        """Return the trace headers to send along, of a span of its own where that is kept."""
        if not _sampled(self._headers):
            return self._headers
        self._span = tracer.start_span(
            f"{exchange} publish",
            context=extracted_context(self._headers),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "rabbitmq",
                "messaging.destination.name": exchange,
                "messaging.message.id": self.id,
                "messaging.rabbitmq.destination.routing_key": self.event.type,
            },
        )
        with use_span(self._span):
            return {**self._headers, **inject_context()}

    def end(self) -> None:
        """Nobody waits any more."""
        if self.confirm is not None:
            self.confirm.cancel()
        if self._span is not None:
            self._span.end()

    def outcome(self) -> Exception | None:
        """Return what became of it; None for "confirmed"."""
        if self.confirm is None or not self.confirm.done() or self.confirm.cancelled():
            return self.unsendable or NotConfirmed("no answer came")
        error = self.confirm.exception()
        return error if error is None or isinstance(error, Exception) else NotConfirmed(repr(error))


def _sampled(headers: Mapping[str, str]) -> bool:
    """Tell whether somebody keeps this trace; most are not, and then a span is wasted work."""
    try:
        return bool(int(headers.get("traceparent", "")[_FLAGS], 16) & 1)
    except ValueError:
        return False
