"""Logs: one JSON line per entry, with the request's id and without local variables."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from goticket_platform.logs import configure_logging, get_logger

configure_logging("example", "INFO")
structlog.contextvars.bind_contextvars(request_id="req-1", user_id="u-1")
log = get_logger("module")
log.debug("below the level")
log.info("hello", fields=3)
logging.getLogger("library").warning("from %s", "outside")
def fail():
    secret = "hunter2"
    raise ValueError("no")
try:
    fail()
except ValueError:
    log.exception("failed")
"""


def test_every_entry_is_a_json_line_with_its_context() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    entries = [json.loads(line) for line in finished.stderr.splitlines()]
    assert [entry["event"] for entry in entries] == ["hello", "from outside", "failed"]
    for entry in entries:
        assert (entry["service"], entry["request_id"], entry["user_id"]) == (
            "example",
            "req-1",
            "u-1",
        )
        assert entry["timestamp"].endswith("Z")
    assert entries[0]["level"] == "info"
    assert entries[2]["exception"][0]["exc_type"] == "ValueError"
    assert "hunter2" not in finished.stderr
