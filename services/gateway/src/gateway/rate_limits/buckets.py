"""Token buckets: what a request costs, and the decision about it.

A bucket is kept as one number, the time at which it will be full (the "theoretical arrival time"
of the generic cell rate algorithm, ITU-T I.371). So it needs no timer, and an unused bucket
needs no entry. A negative number is the end of a block; the bucket is full then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

MICROSECONDS = 1_000_000


@dataclass(frozen=True, eq=False)
class Limit:
    """At most `quota` units at once, refilled evenly within `window_seconds`.

    It equals only itself: a batch of bookings looks it up hundreds of times.

    Once exceeded, a limit with `block_seconds` refuses its client for that long.
    """

    name: str
    quota: int
    window_seconds: int
    block_seconds: int = 0
    emission: int = field(init=False)
    """Microseconds in which one unit is refilled."""
    capacity: int = field(init=False)
    """Microseconds in which an empty bucket is refilled."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: one of them makes no bucket.
        """
        if self.quota < 1 or self.window_seconds < 1 or self.block_seconds < 0:
            raise ValueError(f"limit {self.name} is not valid")
        emission = self.window_seconds * MICROSECONDS // self.quota
        if emission < 1:
            raise ValueError(f"limit {self.name} has more than a unit in a microsecond")
        object.__setattr__(self, "emission", emission)
        object.__setattr__(self, "capacity", emission * self.quota)


class Charge(NamedTuple):
    """Units that a request takes from one client's bucket.

    With `cost` 0 the request only needs a bucket that is not empty. A negative cost gives
    units back.
    """

    limit: Limit
    client: str
    cost: int = 1

    @property
    def key(self) -> str:
        """Identifies the bucket."""
        return f"{self.limit.name}:{self.client}"


class Decision(NamedTuple):
    """The decision about one request, and the state of its bucket with the least units.

    `reset_seconds` is the time until that bucket is full, `retry_after` the time until a
    refused request would be admitted.
    """

    allowed: bool
    limit: Limit
    remaining: int
    reset_seconds: int
    retry_after: int = 0


class RateLimiter(Protocol):
    """Decides about requests."""

    async def admit(self, requests: Sequence[Sequence[Charge]]) -> list[Decision]:
        """Decide about requests in their order; each has at least one charge.

        A request is admitted if all its buckets have enough units, and then takes them. A
        refused one takes none.
        """
        ...


def whole_seconds(microseconds: float) -> int:
    """Round up: a client that waits as long as it is told is admitted."""
    return -int(-microseconds // MICROSECONDS)
