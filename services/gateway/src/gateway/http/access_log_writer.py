"""The access log: entries are queued in the loop and written in batches by a thread.

They have the JSON fields of the other log entries. One entry through the logging chain costs
as much as the rest of a fast request, and a full pipe would block the loop.
"""

import asyncio
import functools
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from opentelemetry import trace
from prometheus_client import Counter

FLUSH_SECONDS = 0.05
"""Longest wait of an entry before it is written."""
MAX_QUEUED = 10_000
"""Entries that may wait to be written: some seconds at full load, less than ten megabytes. A
log reader that has stopped must not fill the memory."""

DROPPED = Counter("goticket_access_log_dropped", "Access log entries that were not written")


@dataclass(slots=True)
class AccessLogEntry:
    """One answered request; times in seconds."""

    method: str
    route: str
    path: str
    status: int
    seconds: float
    request_id: str
    user_id: str
    client_address: str
    span: trace.SpanContext
    at: float
    """Unix time of the answer."""


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


class AccessLogWriter:
    """Queues entries and writes those of FLUSH_SECONDS at once.

    While `max_queued` entries wait, further ones are dropped. The number of dropped entries
    is logged after the next write.
    """

    def __init__(
        self, write_text: Callable[[str], None] = _write, max_queued: int = MAX_QUEUED
    ) -> None:
        self._write_text = write_text
        self._max_queued = max_queued
        self._entries: list[AccessLogEntry] = []
        # Each counter is changed by one thread only, so none needs a lock: the first two
        # by the loop, the others by the writer thread.
        self._queued = 0
        self._dropped = 0
        self._written = 0
        self._reported = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="access-log")

    def write(self, entry: AccessLogEntry) -> None:
        """Queue the entry, or drop it while too many wait."""
        if self._queued - self._written >= self._max_queued:
            self._dropped += 1
            DROPPED.inc()
            return
        self._queued += 1
        if not self._entries:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
        self._entries.append(entry)

    def close(self) -> None:
        """Write what is queued; entries that come later are lost."""
        self._flush()
        self._thread.shutdown()

    def _flush(self) -> None:
        entries, self._entries = self._entries, []
        if entries:
            self._thread.submit(self._write_batch, entries)

    def _write_batch(self, entries: list[AccessLogEntry]) -> None:
        try:
            self._write_text(b"".join(map(_json, entries)).decode())
        finally:
            self._written += len(entries)
        if dropped := self._dropped - self._reported:
            self._write_text(_loss(dropped, now()).decode())
            self._reported += dropped


def now() -> float:
    """Return the Unix time for an entry."""
    return time.time()


def _json(entry: AccessLogEntry) -> bytes:
    fields = {
        "method": entry.method,
        "route": entry.route,
        # The query string stays out: it may hold an e-mail address.
        "path": entry.path,
        "status": entry.status,
        "duration_ms": round(entry.seconds * 1000, 2),
        "event": "request",
        "request_id": entry.request_id,
        "user_id": entry.user_id,
        "client_address": entry.client_address,
        **_common("info", entry.at),
    }
    if entry.span.is_valid:
        fields["trace_id"] = trace.format_trace_id(entry.span.trace_id)
        fields["span_id"] = trace.format_span_id(entry.span.span_id)
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _loss(dropped: int, at: float) -> bytes:
    entry = {"event": "access log entries dropped", "dropped": dropped, **_common("warning", at)}
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def _common(level: str, at: float) -> dict[str, str]:
    return {
        "logger": "gateway.access",
        "level": level,
        "service": "gateway",
        "timestamp": f"{_second(int(at))}.{int(at % 1 * 1e6):06}Z",
    }


@functools.lru_cache(maxsize=8)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()
