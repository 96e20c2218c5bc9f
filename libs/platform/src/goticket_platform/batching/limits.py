"""The bounds of a batcher, and the reasons for which it rejects a request."""

from dataclasses import dataclass
from enum import StrEnum


class Rejection(StrEnum):
    """The reason why a request was not completed."""

    FULL = "full"
    """Too many requests wait."""
    LATE = "late"
    """The request would not be completed before its deadline."""
    CLOSED = "closed"
    """The batcher is closed."""
    ABORTED = "aborted"
    """The batch ended without an outcome for the request."""


@dataclass(frozen=True, slots=True)
class BatchingLimits:
    """Bounds and thresholds of a batcher; times in seconds."""

    max_batch_size: int = 256
    max_waiting: int = 8_192
    """Most requests that wait, over all keys."""
    max_waiting_per_key: int = 4_096
    """Most requests of one key that wait. The others are room for other keys."""
    max_in_flight: int = 4
    """Most batches in flight."""
    max_in_flight_per_key: int = 1
    """Most batches in flight with requests of one key. A slow key occupies only these."""
    max_solo_in_flight: int | None = None
    """Most solo batches in flight; None for no bound. The rest is reserved for small keys."""
    solo_threshold: int = 32
    """A key with this many waiting requests gets batches of its own."""
    pipeline_threshold: int = 32
    """A further batch of a key is dispatched when this many of its requests wait."""
    stall_timeout: float = 0.5
    """After this time without a completion, a further batch does not wait for the first."""
    reserve: float | None = None
    """The least time before a request's deadline at which it is still dispatched.

    It is longer while batches take longer. A further batch of a key is dispatched only if it
    is expected to complete within the reserve. None: requests are dispatched at any time.
    """
    min_waiting_for_estimate: int = 0
    """A queue with fewer waiting requests rejects none because of the latency estimate.

    For all keys together it counts once per batch that may be in flight.
    """

    def must_be_solo(self, waiting: int) -> bool:
        """Return whether a key with `waiting` requests gets batches of its own."""
        return waiting >= min(self.solo_threshold, self.max_batch_size)
