"""Publishes messages in batches: first all frames, then all confirms."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aio_pika.abc import AbstractChannel
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from opentelemetry.trace import Span, SpanKind, use_span

from goticket_platform.messaging.cloudevents import PublishedMessage
from goticket_platform.messaging.frames import MessageFrames
from goticket_platform.telemetry import extracted_context, inject_context, tracer

CHUNK_BYTES = 64 * 1024
"""Bytes that are passed to the connection at a time."""

_FLAGS = slice(53, 55)
"""The flags in version 00 of the W3C trace context; the lowest bit is "sampled"."""


class NotConfirmed(Exception):
    """The broker has not confirmed the message."""


@dataclass(frozen=True)
class OutgoingMessage:
    """A message to publish; `headers` carry the trace of the request that caused it."""

    message: PublishedMessage
    headers: Mapping[str, str]


class Publisher:
    """Publishes on one confirming channel that raises on return.

    Does not use `Exchange.publish`, whose task, timer and general encoder for each message
    cost several times what the rest of the relay does. Like it, this class numbers a message in
    the step that queues its frames, so that every confirm finds its message.
    """

    def __init__(self, channel: Channel, exchange: str) -> None:
        self._channel = channel
        self._exchange = exchange
        frame_max = channel.connection.connection_tune.frame_max
        self._frames = MessageFrames(channel.number, exchange, frame_max)

    @classmethod
    async def on(cls, channel: AbstractChannel, exchange: str) -> "Publisher":
        """Return a publisher to `exchange` on `channel`.

        Raises:
            TypeError: the channel is not aiormq's, whose delivery tags this class assigns.
        """
        underlay = await channel.get_underlay_channel()
        if not isinstance(underlay, Channel):
            raise TypeError(f"{underlay!r} is not a channel of aiormq")
        return cls(underlay, exchange)

    @property
    def is_closed(self) -> bool:
        """Whether the channel can publish no more."""
        return self._channel.is_closed

    async def publish(
        self, batch: Sequence[OutgoingMessage], seconds: float
    ) -> list[Exception | None]:
        """Publish all messages in order; return the error of each, or None when confirmed.

        A DeliveryError means that the broker rejected the message. A ValueError or TypeError
        means that it could not be encoded and was not sent. Any other error means that no
        confirm came within `seconds` or before the connection ended.
        """
        publications = [_Publication(outgoing) for outgoing in batch]
        try:
            async with asyncio.timeout(seconds):
                await self._send(publications)
                confirms = [each.confirm for each in publications if each.confirm]
                if confirms:
                    await asyncio.wait(confirms)
        except Exception as error:  # noqa: BLE001 - a closing connection raises many types
            # Confirmed messages count as failed too: they are published again, none is lost.
            return [each.error() or error for each in publications]
        finally:
            self._forget(publications)
        return [each.error() for each in publications]

    async def _send(self, publications: Sequence["_Publication"]) -> None:
        chunk: list[_Publication] = []
        frames = bytearray()
        for publication in publications:
            try:
                frames += self._frames.encode(
                    publication.message, publication.start_span(self._exchange)
                )
            except (ValueError, TypeError) as error:
                publication.encoding_error = error
                continue
            chunk.append(publication)
            if len(frames) >= CHUNK_BYTES:
                await self._write(frames, chunk)
                chunk, frames = [], bytearray()
        if chunk:
            await self._write(frames, chunk)

    async def _write(self, frames: bytearray, chunk: Sequence["_Publication"]) -> None:
        channel = self._channel
        drained = channel.create_future()
        frame = ChannelFrame(bytes(frames), should_close=False, drain_future=drained)
        async with channel.lock:
            await channel.write_queue.put(frame)
            # No await from here on: no confirm can come before its number is known, and a
            # cancellation cannot leave numbers that the broker does not count.
            for publication in chunk:
                channel.delivery_tag += 1
                channel.message_id_delivery_tag[publication.id] = channel.delivery_tag
                publication.confirm = channel.create_future()
                channel.confirmations[channel.delivery_tag] = publication.confirm
        await drained

    def _forget(self, publications: Sequence["_Publication"]) -> None:
        for publication in publications:
            self._channel.message_id_delivery_tag.pop(publication.id, None)
            publication.close()


class _Publication:
    """One message from its encoding to its confirm, with its span if the trace is sampled."""

    __slots__ = ("_headers", "_span", "confirm", "encoding_error", "id", "message")

    def __init__(self, outgoing: OutgoingMessage) -> None:
        self.message = outgoing.message
        self.id = str(outgoing.message.id)
        self.confirm: asyncio.Future[Any] | None = None
        self.encoding_error: Exception | None = None
        self._headers = outgoing.headers
        self._span: Span | None = None

    def start_span(self, exchange: str) -> Mapping[str, str]:
        """Start a span if the trace is sampled; return the trace headers to send."""
        if not _is_sampled(self._headers):
            return self._headers
        self._span = tracer.start_span(
            f"{exchange} publish",
            context=extracted_context(self._headers),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "rabbitmq",
                "messaging.destination.name": exchange,
                "messaging.message.id": self.id,
                "messaging.rabbitmq.destination.routing_key": self.message.type,
            },
        )
        with use_span(self._span):
            return {**self._headers, **inject_context()}

    def close(self) -> None:
        """Cancel the wait for the confirm and end the span."""
        if self.confirm is not None:
            self.confirm.cancel()
        if self._span is not None:
            self._span.end()

    def error(self) -> Exception | None:
        """Return the error of the publication, or None when it is confirmed."""
        if self.confirm is None or not self.confirm.done() or self.confirm.cancelled():
            return self.encoding_error or NotConfirmed("no confirm came")
        error = self.confirm.exception()
        return error if error is None or isinstance(error, Exception) else NotConfirmed(repr(error))


def _is_sampled(headers: Mapping[str, str]) -> bool:
    """Return whether the trace is recorded; most traces are not, and need no span."""
    try:
        return bool(int(headers.get("traceparent", "")[_FLAGS], 16) & 1)
    except ValueError:
        return False
