"""Access log entries that cannot be written do not accumulate."""

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
from gateway.http.access_log_writer import AccessLogEntry, AccessLogWriter
from opentelemetry.trace import INVALID_SPAN_CONTEXT
from prometheus_client import REGISTRY

DEADLINE = 60.0
MAX = 5


class BlockedWriter:
    """Blocks until it is released."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.released = threading.Event()
        self.text = ""

    def write(self, text: str) -> None:
        self.called.set()
        assert self.released.wait(DEADLINE)
        self.text += text

    @property
    def entries(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def writer() -> Iterator[BlockedWriter]:
    writer = BlockedWriter()
    yield writer
    writer.released.set()  # a test that failed must not leave its thread waiting


async def test_entries_over_the_bound_are_dropped_and_counted_and_logged_once(
    writer: BlockedWriter,
) -> None:
    before = _dropped()
    log = AccessLogWriter(writer.write, MAX)
    log.write(_entry("r0"))
    assert await asyncio.to_thread(writer.called.wait, DEADLINE)
    for number in range(1, MAX + 3):
        log.write(_entry(f"r{number}"))
    assert _dropped() == before + 3
    writer.released.set()
    log.close()
    written = [entry["request_id"] for entry in writer.entries if entry["event"] == "request"]
    assert written == [f"r{number}" for number in range(MAX)]
    (loss,) = (entry for entry in writer.entries if entry["event"] != "request")
    assert (loss["event"], loss["dropped"]) == ("access log entries dropped", 3)
    assert (loss["level"], loss["logger"]) == ("warning", "gateway.access")


async def test_written_entries_free_their_capacity(writer: BlockedWriter) -> None:
    before = _dropped()
    writer.released.set()
    # Twice a batch: the text is there a moment before its capacity is free.
    log = AccessLogWriter(writer.write, 2 * MAX)
    for first in range(0, 6 * MAX, MAX):
        for number in range(first, first + MAX):
            log.write(_entry(f"r{number}"))
        async with asyncio.timeout(DEADLINE):
            while len(writer.entries) < first + MAX:
                await asyncio.sleep(0.01)
    log.close()
    assert _dropped() == before
    assert [entry["request_id"] for entry in writer.entries] == [f"r{n}" for n in range(6 * MAX)]


async def test_entries_that_could_not_be_written_free_their_capacity() -> None:
    attempts: list[str] = []

    def broken(text: str) -> None:
        attempts.append(text)
        raise BrokenPipeError

    before = _dropped()
    log = AccessLogWriter(broken, 2)
    for number in range(6):
        log.write(_entry(f"r{number}"))
        async with asyncio.timeout(DEADLINE):
            while len(attempts) <= number:
                await asyncio.sleep(0.01)
    log.close()
    assert _dropped() == before


def _dropped() -> float:
    return REGISTRY.get_sample_value("goticket_access_log_dropped_total") or 0.0


def _entry(request_id: str) -> AccessLogEntry:
    return AccessLogEntry(
        method="POST",
        route="/api/v1/events/{event_id}/bookings",
        path="/api/v1/events/0197c0de-7a11-7b00-8a00-0000000000e1/bookings",
        status=201,
        seconds=0.0015,
        request_id=request_id,
        user_id="0197c0de-7a11-7b00-8a00-0000000000d1",
        client_address="198.51.100.7",
        span=INVALID_SPAN_CONTEXT,
        at=1893456000.25,
    )
