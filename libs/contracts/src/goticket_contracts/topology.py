"""Names and retry rules of the RabbitMQ exchange and queues. No I/O."""

from dataclasses import dataclass
from typing import Final

EXCHANGE: Final = "goticket.events"
"""Topic exchange of all messages. The routing key is the CloudEvents type."""

EVENT_LOG: Final = "goticket.events.log"
"""Stream that keeps every message for a limited time. It can be read from any offset."""

EVENT_LOG_DAYS: Final = 7
"""Retention of the event log. A message can be delivered again for this long by reading the log,
so consumers remember handled messages for longer."""

CATALOG_EVENTS: Final = "goticket.catalog.event.*.v1"
"""Binding pattern of all messages about events."""

BOOKING_EVENTS: Final = "goticket.booking.booking.*.v1"
"""Binding pattern of all messages about bookings."""

RETRY_SECONDS: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Delays before the second, third, … attempt to handle a message."""


@dataclass(frozen=True)
class QueueSpec:
    """The queue of one consumer: its bindings and its retry delays (seconds).

    Each queue has one retry queue per delay, one dead-letter queue, and a direct exchange that
    moves messages between these. The name begins with the service that owns them.
    """

    name: str
    bindings: tuple[str, ...]
    retry_seconds: tuple[float, ...] = RETRY_SECONDS

    @property
    def owner(self) -> str:
        """The service whose user may read the queue."""
        return self.name.partition(".")[0]

    @property
    def exchange(self) -> str:
        """Name of the direct exchange. Its routing keys are the names of the queues."""
        return f"{self.name}.direct"

    @property
    def dead_letters(self) -> str:
        """Name of the dead-letter queue."""
        return f"{self.name}.dead"

    @property
    def retry_queues(self) -> dict[str, float]:
        """Name and delay (seconds) of each retry queue, shortest delay first."""
        return {self._retry_queue(delay): delay for delay in self.retry_seconds}

    def retry_queue(self, attempt: int) -> str | None:
        """Return the retry queue after the failed `attempt` (from 1); None after the last one."""
        if attempt > len(self.retry_seconds):
            return None
        return self._retry_queue(self.retry_seconds[max(attempt, 1) - 1])

    def _retry_queue(self, delay: float) -> str:
        return f"{self.name}.retry.{delay:g}s"


@dataclass(frozen=True)
class Topology:
    """The exchange and queues that must exist before the first message is published."""

    exchange: str
    event_log: str
    queues: tuple[QueueSpec, ...]


BOOKING_CATALOG_EVENTS: Final = QueueSpec("booking.catalog-events", (CATALOG_EVENTS,))
"""The booking service's queue of catalog messages."""

NOTIFICATION_EVENTS: Final = QueueSpec("notification.events", (BOOKING_EVENTS, CATALOG_EVENTS))
"""The notification service's queue of booking and catalog messages."""

TOPOLOGY: Final = Topology(
    exchange=EXCHANGE,
    event_log=EVENT_LOG,
    queues=(BOOKING_CATALOG_EVENTS, NOTIFICATION_EVENTS),
)
"""The topology of the whole system. All of it exists before the first message is published, so
that a queue gets messages that were published before its consumer started for the first time."""
