"""Caching: in-process entries within one byte budget, Redis behind them, batches.

A value has one age from the moment its loading began, in whichever layer it is: Redis stores
it only for the rest of its lifetime and tells how much of that is left, so that the ages of
two layers never add up.
"""

from goticket_platform.caching.batch_loader import BatchLoader
from goticket_platform.caching.budget import CacheBudget, Entry
from goticket_platform.caching.shared_cache import (
    RESET_SECONDS,
    CircuitBreaker,
    SharedCache,
    open_cache_redis,
)
from goticket_platform.caching.ttl_cache import TTLCache

__all__ = [
    "RESET_SECONDS",
    "BatchLoader",
    "CacheBudget",
    "CircuitBreaker",
    "Entry",
    "SharedCache",
    "TTLCache",
    "open_cache_redis",
]
