"""Idempotency keys and their records."""

from dataclasses import dataclass
from uuid import UUID

from booking.domain.booking import Booking

RequestKey = tuple[UUID, str]
"""A buyer's user id and idempotency key."""


class KeyTaken(Exception):
    """Another transaction has used one of these idempotency keys meanwhile."""


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """The fingerprint of a key's first request, and its booking as it is now."""

    fingerprint: bytes
    booking: Booking | None
