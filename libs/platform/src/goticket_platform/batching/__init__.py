"""Groups concurrent requests into batches, per key, without timers. Standard library only.

A request waits in the queue of its key. Queues that may be dispatched wait in the ready
queue, oldest request first. An idle batcher dispatches at the end of the current turn of the
event loop; a busy one dispatches the waiting requests when a batch completes.
"""

from goticket_platform.batching.batch import InFlightBatch
from goticket_platform.batching.batcher import Batcher
from goticket_platform.batching.entries import Entry
from goticket_platform.batching.latency import LatencyEstimator
from goticket_platform.batching.limits import BatchingLimits, Rejection
from goticket_platform.batching.retrying import RetryingExecutor

__all__ = [
    "Batcher",
    "BatchingLimits",
    "Entry",
    "InFlightBatch",
    "LatencyEstimator",
    "Rejection",
    "RetryingExecutor",
]
