"""How fast calls come back, and what that tells a newcomer."""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """How fast calls come back lately; times in seconds.

    Counted is the time between two answers, not the time of a call: of two calls that
    are out, one waits for the other.
    """

    out: int = 0
    """Calls that are out, and `aboard` the requests in them."""
    aboard: int = 0
    since: float = 0.0
    """When the oldest of them left, or the one before it came back."""
    call_seconds: float = 0.0
    request_seconds: float = 0.0
    known: bool = False
    """Whether a call has come back yet."""

    def depart(self, now: float, size: int) -> None:
        """Note that a call has left with so many requests."""
        if not self.out:
            self.since = now
        self.out += 1
        self.aboard += size

    def land(self, now: float, size: int) -> None:
        """Note that one has come back."""
        took = now - self.since
        self.call_seconds = _smoothed(self.call_seconds, took)
        self.request_seconds = _smoothed(self.request_seconds, took / size)
        self.since = now
        self.known = True
        self.out -= 1
        self.aboard -= size

    def expected_call(self, now: float) -> float:
        """Return the seconds until the answer of a call that leaves now.

        A guess, and a low one, until the first has come back (`known`).
        """
        return (self.out + 1) * max(self.call_seconds, self.stalled(now))

    def expected_wait(self, now: float, waiting: int, batch: int) -> float:
        """Return the seconds until a newcomer's answer when so many wait already.

        By calls a small batch is told well, by requests a large one; either alone would
        turn a crowd away because one call was slow. So the better of the two counts.
        """
        stalled = self.stalled(now)
        calls = max(1, self.out) + waiting // batch
        requests = self.aboard + waiting + 1
        return min(
            calls * max(self.call_seconds, stalled),
            requests * max(self.request_seconds, stalled / max(1, self.aboard)),
        )

    def stalled(self, now: float) -> float:
        """Return for how many seconds nothing has come back while something is out."""
        return now - self.since if self.out else 0.0


def _smoothed(mean: float, latest: float) -> float:
    return (mean + latest) / 2 if mean else latest
