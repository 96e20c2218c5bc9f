"""What goes wrong when: a plan made from a seed."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

POSTGRES, RABBITMQ, REDIS = "postgres", "rabbitmq", "redis"
MAIL_ROAD, BOOKING_ROAD, EVENTS = "mail road", "booking road", "events"
SERVERS = (POSTGRES, RABBITMQ, REDIS)
ROADS = (MAIL_ROAD, BOOKING_ROAD)
GAP_SECONDS = 2.2
"""Most time between two faults, on average: in three minutes all happens to each target."""
LONGEST_SECONDS = 8.0
"""Longer than the timeouts on the way."""


class Kind(StrEnum):
    """What can be done to a target."""

    KILL = "kill -9, start again"
    RESTART = "stop, start again"
    FREEZE = "SIGSTOP, SIGCONT"
    DISCONNECT = "drop every connection"
    REDELIVER = "deliver the last again"
    SLOW = "slow down"


KINDS = {
    **dict.fromkeys(SERVERS, (Kind.KILL, Kind.RESTART, Kind.FREEZE, Kind.DISCONNECT)),
    **dict.fromkeys(ROADS, (Kind.SLOW, Kind.DISCONNECT)),
    EVENTS: (Kind.REDELIVER,),
}
OF_PROCESSES = (Kind.KILL, Kind.RESTART, Kind.FREEZE)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong `at` seconds after the start, for some `seconds`."""

    at: float
    target: str
    kind: Kind
    seconds: float

    def __str__(self) -> str:
        return f"{self.target}: {self.kind} ({self.seconds:.1f} s)"


def plan(seed: int, seconds: float, processes: Sequence[str]) -> list[Fault]:
    """Return the faults of a run, the same for the same arguments.

    Round after round every target has its turn, in an order of its own; turn after
    turn it suffers another of the kinds that it can.
    """
    rng = random.Random(seed)
    targets = [*KINDS, *processes]
    kinds = {target: _rounds(rng, KINDS.get(target, OF_PROCESSES)) for target in targets}
    # Some to spare: gaps vary, and the last target shall have its turn too.
    gap = min(seconds / (len(targets) + 5), GAP_SECONDS)
    longest = min(LONGEST_SECONDS, seconds / 6)
    faults: list[Fault] = []
    at = 0.0
    for target in _rounds(rng, targets):
        at += gap * rng.uniform(0.6, 1.4)
        if at >= seconds:
            return faults
        # Mostly short, now and then long.
        duration = rng.choice([rng.uniform(0.2, 2.0), rng.uniform(0.2, 2.0), longest])
        faults.append(Fault(round(at, 2), target, next(kinds[target]), round(duration, 2)))
    raise AssertionError("rounds never end")


def _rounds(rng: random.Random, items: Sequence[T]) -> Iterator[T]:
    for _ in itertools.count():
        yield from rng.sample(items, len(items))
