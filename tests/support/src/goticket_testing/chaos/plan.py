"""The faults of a run and their times, generated from a seed."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

POSTGRES, RABBITMQ, REDIS = "postgres", "rabbitmq", "redis"
SMTP_PROXY = "proxy notification-smtp"
BOOKING_PROXY = "proxy gateway-booking"
NOTIFICATION_DATA_PROXY = "proxy notification-booking"
EVENT_LOG = "event log"
SERVERS = (POSTGRES, RABBITMQ, REDIS)
PROXIES = (SMTP_PROXY, BOOKING_PROXY, NOTIFICATION_DATA_PROXY)
GAP_SECONDS = 2.0
"""Upper bound of the mean time between two faults. In three minutes every target has each kind."""
LONGEST_SECONDS = 8.0
"""Exceeds the timeouts of the calls between services."""


class FaultKind(StrEnum):
    """The kinds of fault."""

    KILL = "kill -9, then start"
    RESTART = "stop, then start"
    FREEZE = "SIGSTOP, then SIGCONT"
    DISCONNECT = "drop every connection"
    REFUSE = "refuse connections"
    REDELIVER = "publish the last messages again"
    DELAY = "delay every chunk"


KINDS = {
    **dict.fromkeys(
        SERVERS, (FaultKind.KILL, FaultKind.RESTART, FaultKind.FREEZE, FaultKind.DISCONNECT)
    ),
    **dict.fromkeys(PROXIES, (FaultKind.DELAY, FaultKind.DISCONNECT, FaultKind.REFUSE)),
    EVENT_LOG: (FaultKind.REDELIVER,),
}
PROCESS_KINDS = (FaultKind.KILL, FaultKind.RESTART, FaultKind.FREEZE)


@dataclass(frozen=True)
class Fault:
    """A fault that begins `at` seconds after the start and lasts `seconds`."""

    at: float
    target: str
    kind: FaultKind
    seconds: float

    def __str__(self) -> str:
        return f"{self.target}: {self.kind} ({self.seconds:.1f} s)"


def plan(seed: int, seconds: float, processes: Sequence[str]) -> list[Fault]:
    """Return the faults of a run; equal arguments give equal plans, in any order of processes.

    Each round has one fault of every target in random order. A target gets each of its
    kinds once before a kind repeats.
    """
    rng = random.Random(seed)
    targets = [*KINDS, *sorted(processes)]
    kinds = {target: _rounds(rng, KINDS.get(target, PROCESS_KINDS)) for target in targets}
    # Gaps vary, so five spare ones make sure that the last target is reached.
    gap = min(seconds / (len(targets) + 5), GAP_SECONDS)
    longest = min(LONGEST_SECONDS, seconds / 6)
    faults: list[Fault] = []
    at = 0.0
    for target in _rounds(rng, targets):
        at += gap * rng.uniform(0.6, 1.4)
        if at >= seconds:
            return faults
        # Two of three faults are short.
        duration = rng.choice([rng.uniform(0.2, 2.0), rng.uniform(0.2, 2.0), longest])
        faults.append(Fault(round(at, 2), target, next(kinds[target]), round(duration, 2)))
    raise AssertionError("the rounds never end")


def _rounds(rng: random.Random, items: Sequence[T]) -> Iterator[T]:
    for _ in itertools.count():
        yield from rng.sample(items, len(items))
