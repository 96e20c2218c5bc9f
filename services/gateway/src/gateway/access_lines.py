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

FLUSH_SECONDS = 0.05
"""How long a line may be kept."""


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
    """Collects lines and writes those of FLUSH_SECONDS at once."""

    def __init__(self, write: Callable[[str], None] = _write) -> None:
        self._write = write
        self._lines: list[AccessLine] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="access-log")

    def note(self, line: AccessLine) -> None:
        """Have the line written soon."""
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
        self._write(b"".join(map(_json, lines)).decode())


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
        "logger": "gateway.access",
        "level": "info",
        "service": "gateway",
        "timestamp": f"{_second(int(line.at))}.{int(line.at % 1 * 1e6):06}Z",
    }
    if line.span.is_valid:
        entry["trace_id"] = trace.format_trace_id(line.span.trace_id)
        entry["span_id"] = trace.format_span_id(line.span.span_id)
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


@functools.lru_cache(maxsize=8)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()
