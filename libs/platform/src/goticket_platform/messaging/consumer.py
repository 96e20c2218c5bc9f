"""The consumer: passes a queue's messages to a handler and acknowledges each after it."""

import asyncio

from goticket_contracts.topology import TOPOLOGY, QueueSpec, Topology

from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.broker import NotConnected, keep_connected, open_channel
from goticket_platform.messaging.cloudevents import NonRetryableError, ReceivedMessage
from goticket_platform.messaging.retry_decision import RetryableError
from goticket_platform.messaging.subscription import Handler, HandlerTimeout, Subscription
from goticket_platform.retry import Outage

__all__ = [
    "Consumer",
    "Handler",
    "HandlerTimeout",
    "NonRetryableError",
    "ReceivedMessage",
    "RetryableError",
]

PREFETCH = 16
SUBSCRIBE_SECONDS = 10.0


class Consumer:
    """Consumes one queue, with up to `prefetch` messages in flight.

    Messages of one subject are handled one after another. But a retried message returns later
    than its successors, and other processes consume too: so the handler must ignore older
    aggregate versions than it has seen.
    """

    def __init__(
        self,
        amqp_url: str,
        queue: QueueSpec,
        handle: Handler,
        *,
        prefetch: int = PREFETCH,
        topology: Topology = TOPOLOGY,
    ) -> None:
        self._amqp_url = amqp_url
        self._queue = queue
        self._handle = handle
        self._prefetch = prefetch
        self._topology = topology
        self._connection_name = f"{queue.name} consumer"
        self._connected = False

    async def check(self) -> None:
        """Readiness check.

        Raises:
            NotConnected: no connection to the broker.
        """
        if not self._connected:
            raise NotConnected

    async def run(self, stop: Stop) -> None:
        """Consume until `stop`, through any loss of the broker; then finish messages in flight."""
        await keep_connected(
            stop, lambda outage: self._session(stop, outage), name=self._connection_name
        )

    async def _session(self, stop: Stop, outage: Outage) -> None:
        async with open_channel(self._amqp_url, self._topology, name=self._connection_name) as (
            channel,
            _,
        ):
            subscription = Subscription(channel, self._queue, self._handle)
            # A broker that is starting may accept the command and never answer it.
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await channel.set_qos(prefetch_count=self._prefetch)
                await subscription.start()
            outage.end()
            self._connected = True
            try:
                await subscription.run_until(stop)
            finally:
                self._connected = False
                await subscription.drain(stop)
