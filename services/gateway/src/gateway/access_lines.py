"""Access log lines of the hot route: noted in the loop, written together by a thread.

The same JSON as the other lines of the log. One line through the logging chain costs
as much as all the rest of a hot request, and a full pipe would stop the loop.
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
"""How long a line may be kept."""
MOST_WAITING = 10_000
"""Lines that may wait to be written: seconds of a crowd, and less than ten megabytes. A reader
of the log who has stopped to read must not fill the memory."""

DROPPED = Counter("goticket_access_log_dropped", "Access log lines that were not written")


@dataclass(slots=True)
class AccessLine:
    """One answered request; the times in seconds."""

    method: str
    route: str
    path: str
    status: int
    seconds: float
    request_id: str
    user_id: str
    span: trace.SpanContext
    at: float
    """Unix time of the answer."""


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


class AccessLines:
    """Collects lines and writes those of FLUSH_SECONDS at once.

    While `most` lines wait, further ones are dropped; how many is logged after the next write.
    """

    def __init__(self, write: Callable[[str], None] = _write, most: int = MOST_WAITING) -> None:
        self._write = write
        self._most = most
        self._lines: list[AccessLine] = []
        # Each is counted by one thread alone, so none needs a lock: the first two by the
        # loop, the others by the writer.
        self._taken = 0
        self._dropped = 0
        self._done = 0
        self._told = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="access-log")

    def note(self, line: AccessLine) -> None:
        """Have the line written soon, or drop it where too many wait."""
        if self._taken - self._done >= self._most:
            self._dropped += 1
            DROPPED.inc()
            return
        self._taken += 1
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
        self._lines.append(line)

    def close(self) -> None:
        """Write what is left; lines noted later are lost."""
        self._flush()
        self._writer.shutdown()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._writer.submit(self._write_all, lines)

    def _write_all(self, lines: list[AccessLine]) -> None:
        try:
            self._write(b"".join(map(_json, lines)).decode())
        finally:
            self._done += len(lines)
        if dropped := self._dropped - self._told:
            self._write(_loss(dropped, now()).decode())
            self._told += dropped


def now() -> float:
    """Return the unix time for a line."""
    return time.time()


def _json(line: AccessLine) -> bytes:
    entry = {
        "method": line.method,
        "route": line.route,
        # The query string stays out: it may hold an e-mail address.
        "path": line.path,
        "status": line.status,
        "duration_ms": round(line.seconds * 1000, 2),
        "event": "request",
        "request_id": line.request_id,
        "user_id": line.user_id,
        **_usual("info", line.at),
    }
    if line.span.is_valid:
        entry["trace_id"] = trace.format_trace_id(line.span.trace_id)
        entry["span_id"] = trace.format_span_id(line.span.span_id)
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def _loss(lines: int, at: float) -> bytes:
    entry = {"event": "access log lines dropped", "lines": lines, **_usual("warning", at)}
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def _usual(level: str, at: float) -> dict[str, str]:
    return {
        "logger": "gateway.access",
        "level": level,
        "service": "gateway",
        "timestamp": f"{_second(int(at))}.{int(at % 1 * 1e6):06}Z",
    }


@functools.lru_cache(maxsize=8)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()
