"""Estimates how long a request has to wait, from the completions of recent batches."""

from dataclasses import dataclass


@dataclass(slots=True)
class LatencyEstimator:
    """Estimates waiting times; times in seconds.

    It measures the time between two completions, not the duration of a batch: of two batches
    in flight, one waits for the other.
    """

    in_flight: int = 0
    """Batches in flight."""
    requests_in_flight: int = 0
    last_progress: float = 0.0
    """The time when the oldest batch in flight was dispatched, or the one before it completed."""
    batch_time: float = 0.0
    """Smoothed time per batch."""
    request_time: float = 0.0
    """Smoothed time per request."""
    is_measured: bool = False
    """Whether a batch has completed yet."""

    def dispatch(self, now: float, size: int) -> None:
        """Record that a batch of `size` requests was dispatched."""
        if not self.in_flight:
            self.last_progress = now
        self.in_flight += 1
        self.requests_in_flight += size

    def complete(self, now: float, size: int) -> None:
        """Record that a batch of `size` requests has completed."""
        elapsed = now - self.last_progress
        self.batch_time = _smoothed(self.batch_time, elapsed)
        self.request_time = _smoothed(self.request_time, elapsed / size)
        self.last_progress = now
        self.is_measured = True
        self.in_flight -= 1
        self.requests_in_flight -= size

    def stall_time(self, now: float) -> float:
        """Return the time without a completion while a batch is in flight."""
        return now - self.last_progress if self.in_flight else 0.0

    def next_batch_time(self, now: float) -> float:
        """Return the expected duration of a batch that is dispatched now.

        The estimate is too low until the first batch has completed (`is_measured`).
        """
        return (self.in_flight + 1) * max(self.batch_time, self.stall_time(now))

    def wait_time(self, now: float, waiting: int, max_batch_size: int) -> float:
        """Return the expected time until a new request completes behind `waiting` others.

        Counting batches predicts small batches well, counting requests large ones. Either
        count alone would reject too many requests after one slow batch, so the smaller counts.
        """
        stall = self.stall_time(now)
        batches = max(1, self.in_flight) + waiting // max_batch_size
        requests = self.requests_in_flight + waiting + 1
        return min(
            batches * max(self.batch_time, stall),
            requests * max(self.request_time, stall / max(1, self.requests_in_flight)),
        )

    def would_exceed_deadline(
        self, now: float, waiting: int, max_batch_size: int, time_left: float
    ) -> bool:
        """Return whether a new request behind `waiting` others needs more than `time_left`."""
        # Called for each request: in most cases the count of batches decides.
        batches = (self.in_flight or 1) + waiting // max_batch_size
        if batches * self.batch_time <= time_left and (
            not self.in_flight or batches * (now - self.last_progress) <= time_left
        ):
            return False
        return self.wait_time(now, waiting, max_batch_size) > time_left


def _smoothed(mean: float, latest: float) -> float:
    return (mean + latest) / 2 if mean else latest
