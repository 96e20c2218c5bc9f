"""The broker's furniture every publisher and consumer agrees on; names and rules, no I/O."""

from dataclasses import dataclass
from typing import Final

EXCHANGE: Final = "goticket.events"
"""Topic exchange every event goes through; the routing key is the CloudEvents type."""

EVENT_LOG: Final = "goticket.events.log"
"""Stream that keeps every event for a while, to be read again from any point."""

RETRY_SECONDS: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""How long a failed event waits before its second, third, … try."""


@dataclass(frozen=True)
class QueueSpec:
    """One consumer's queue: what it receives and how it retries.

    Beside the queue itself stand one retry queue a delay and one dead-letter queue.
    """

    name: str
    bindings: tuple[str, ...]
    retry_seconds: tuple[float, ...] = RETRY_SECONDS

    @property
    def dead_letters(self) -> str:
        """Name of the queue for what could not be handled."""
        return f"{self.name}.dead"

    @property
    def retry_queues(self) -> dict[str, float]:
        """Name and delay (seconds) of each retry queue, shortest first."""
        return {self._retry_queue(delay): delay for delay in self.retry_seconds}

    def retry_queue(self, attempt: int) -> str | None:
        """Return where to wait after the failed `attempt` (from 1); None when tries are used up."""
        if attempt > len(self.retry_seconds):
            return None
        return self._retry_queue(self.retry_seconds[max(attempt, 1) - 1])

    def _retry_queue(self, delay: float) -> str:
        return f"{self.name}.retry.{delay:g}s"


@dataclass(frozen=True)
class Topology:
    """Everything that must stand before the first event is published."""

    exchange: str
    event_log: str
    queues: tuple[QueueSpec, ...]


BOOKING_CATALOG_EVENTS: Final = QueueSpec(
    "booking.catalog-events", ("goticket.catalog.event.*.v1",)
)
NOTIFICATION_BOOKING_EVENTS: Final = QueueSpec(
    "notification.booking-events", ("goticket.booking.booking.*.v1",)
)

TOPOLOGY: Final = Topology(
    exchange=EXCHANGE,
    event_log=EVENT_LOG,
    queues=(BOOKING_CATALOG_EVENTS, NOTIFICATION_BOOKING_EVENTS),
)
"""The whole system's; relays and consumers declare all of it, so that no queue can
miss an event that was published before its consumer first ran."""
