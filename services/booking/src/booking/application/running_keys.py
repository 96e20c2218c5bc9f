"""Which idempotency keys this process is working on."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from booking.application.ports import RequestKey


class RunningKeys:
    """Counts the batches each key is in, to tell "still running" from "busy"."""

    def __init__(self) -> None:
        self._batches: Counter[RequestKey] = Counter()

    @contextmanager
    def run(self, keys: Collection[RequestKey]) -> Iterator[Callable[[RequestKey | None], bool]]:
        """Count these keys in for the block; yield whether another batch has one, too."""
        self._batches.update(keys)
        try:
            yield lambda key: key is not None and self._batches[key] > 1
        finally:
            self._batches.subtract(keys)
            for key in keys:
                if not self._batches[key]:
                    del self._batches[key]
