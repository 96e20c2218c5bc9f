"""Access lines that cannot be written do not pile up."""

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest
from gateway.http.access_log_writer import AccessLogEntry, AccessLogWriter
from opentelemetry.trace import INVALID_SPAN_CONTEXT
from prometheus_client import REGISTRY

PATIENCE = 60.0
MOST = 5


class StuckWriter:
    """Writes nothing until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let_go = threading.Event()
        self.text = ""

    def write(self, text: str) -> None:
        self.asked.set()
        assert self.let_go.wait(PATIENCE)
        self.text += text

    @property
    def entries(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def writer() -> Iterator[StuckWriter]:
    writer = StuckWriter()
    yield writer
    writer.let_go.set()  # a test that failed must not leave its thread waiting


async def test_lines_over_the_bound_are_dropped_and_counted_and_the_log_says_so_once(
    writer: StuckWriter,
) -> None:
    before = _dropped()
    lines = AccessLogWriter(writer.write, MOST)
    lines.note(_line("r0"))
    assert await asyncio.to_thread(writer.asked.wait, PATIENCE)
    for number in range(1, MOST + 3):
        lines.note(_line(f"r{number}"))
    assert _dropped() == before + 3
    writer.let_go.set()
    lines.close()
    written = [entry["request_id"] for entry in writer.entries if entry["event"] == "request"]
    assert written == [f"r{number}" for number in range(MOST)]
    (loss,) = (entry for entry in writer.entries if entry["event"] != "request")
    assert (loss["event"], loss["lines"]) == ("access log lines dropped", 3)
    assert (loss["level"], loss["logger"]) == ("warning", "gateway.access")


async def test_once_lines_are_written_there_is_room_again(writer: StuckWriter) -> None:
    before = _dropped()
    writer.let_go.set()
    # Twice what is written at a time: text is there a moment before its room is free.
    lines = AccessLogWriter(writer.write, 2 * MOST)
    for first in range(0, 6 * MOST, MOST):
        for number in range(first, first + MOST):
            lines.note(_line(f"r{number}"))
        async with asyncio.timeout(PATIENCE):
            while len(writer.entries) < first + MOST:
                await asyncio.sleep(0.01)
    lines.close()
    assert _dropped() == before
    assert [entry["request_id"] for entry in writer.entries] == [f"r{n}" for n in range(6 * MOST)]


async def test_lines_that_could_not_be_written_take_no_room() -> None:
    attempts: list[str] = []

    def broken(text: str) -> None:
        attempts.append(text)
        raise BrokenPipeError

    before = _dropped()
    lines = AccessLogWriter(broken, 2)
    for number in range(6):
        lines.note(_line(f"r{number}"))
        async with asyncio.timeout(PATIENCE):
            while len(attempts) <= number:
                await asyncio.sleep(0.01)
    lines.close()
    assert _dropped() == before


def _dropped() -> float:
    return REGISTRY.get_sample_value("goticket_access_log_dropped_total") or 0.0


def _line(request_id: str) -> AccessLogEntry:
    return AccessLogEntry(
        method="POST",
        route="/api/v1/events/{event_id}/bookings",
        path="/api/v1/events/0197c0de-7a11-7b00-8a00-0000000000e1/bookings",
        status=201,
        seconds=0.0015,
        request_id=request_id,
        user_id="0197c0de-7a11-7b00-8a00-0000000000d1",
        span=INVALID_SPAN_CONTEXT,
        at=1893456000.25,
    )
