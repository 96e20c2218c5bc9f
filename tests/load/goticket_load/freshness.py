"""Checks the age of cached answers: a writer changes an event while readers check its version."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from goticket_testing.clients import ApiUser

MAX_AGE_SECONDS = 1.0
WRITE_INTERVAL_SECONDS = 0.4


@dataclass(frozen=True)
class Change:
    """A version of the event and the time when its writer got the response."""

    version: int
    acknowledged_at: float


@dataclass(frozen=True)
class Read:
    """The version that a reader received, and the time when it sent its request."""

    version: int
    sent_at: float


def age_seconds(read: Read, changes: Sequence[Change]) -> float:
    """Return how long before the read its answer became outdated; 0 if it was current.

    An answer is outdated from the acknowledgement of the first later version.
    """
    later = [each.acknowledged_at for each in changes if each.version > read.version]
    return max(0.0, read.sent_at - min(later)) if later else 0.0


@dataclass
class FreshnessCheck:
    """Changes an event and reads it, in two threads, during the block."""

    url: str
    event: str
    organizer: ApiUser
    changes: list[Change] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    stale_own_reads: int = 0
    """Reads of the writer, right after a change, that did not have the change."""
    errors: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for run in (self._write, self._read):
            thread = threading.Thread(target=self._guarded, args=(run,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest answer."""
        return max((age_seconds(read, self.changes) for read in self.reads), default=0.0)

    @property
    def too_old(self) -> int:
        """Number of answers older than `MAX_AGE_SECONDS`."""
        return sum(age_seconds(read, self.changes) > MAX_AGE_SECONDS for read in self.reads)

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _write(self) -> None:
        connection = _Connection(self.url, self.event)
        number = 0
        while not self._done.wait(WRITE_INTERVAL_SECONDS):
            number += 1
            change = {"description": f"Changed {number} times"}
            version = connection.version("PATCH", self.organizer.headers, change)
            self.changes.append(Change(version, time.monotonic()))
            if connection.version("GET", self.organizer.headers) < version:
                self.stale_own_reads += 1

    def _read(self) -> None:
        connection = _Connection(self.url, self.event)
        while not self._done.wait(0.005):
            sent_at = time.monotonic()
            self.reads.append(Read(connection.version("GET", {}), sent_at))


class _Connection:
    """Reads and changes one event over one connection."""

    def __init__(self, url: str, event: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._path = f"/api/v1/events/{event}"

    def version(
        self, method: str, headers: dict[str, str], body: dict[str, str] | None = None
    ) -> int:
        """Send a request and return the version of the event in its response.

        Raises:
            ValueError: the response was not a 200.
        """
        content = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, self._path, content, {**headers, **kind})
        response = self._connection.getresponse()
        payload = response.read()
        if response.status != http.client.OK:
            raise ValueError(f"{method}: {response.status} {payload[:300]!r}")
        version: int = json.loads(payload)["version"]
        return version
