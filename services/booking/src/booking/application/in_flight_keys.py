"""The idempotency keys of the requests in flight in this process."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from booking.application.ports import RequestKey


class InFlightKeys:
    """Counts the batches that contain a key, to distinguish "still running" from "busy"."""

    def __init__(self) -> None:
        self._batches: Counter[RequestKey] = Counter()

    @contextmanager
    def track(self, keys: Collection[RequestKey]) -> Iterator[Callable[[RequestKey | None], bool]]:
        """Count these keys during the block; yield whether another batch has a key, too."""
        self._batches.update(keys)
        try:
            yield lambda key: key is not None and self._batches[key] > 1
        finally:
            self._batches.subtract(keys)
            for key in keys:
                if not self._batches[key]:
                    del self._batches[key]
