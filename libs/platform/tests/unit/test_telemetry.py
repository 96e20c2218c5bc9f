"""The traces that are recorded."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from goticket_platform.telemetry import configure_tracing, inject_context, tracer

configure_tracing("example", sys.argv[1] or None, float(sys.argv[2]))
with tracer.start_as_current_span("work") as span:
    sampled = int(inject_context()["traceparent"][-2:], 16) & 1
    print(span.is_recording(), sampled, flush=True)
    os._exit(0)  # without waiting for the missing collector
"""


@pytest.mark.parametrize(
    ("endpoint", "ratio", "output"),
    [
        ("", "1", "False 0\n"),
        ("http://127.0.0.1:1", "1", "True 1\n"),
        ("http://127.0.0.1:1", "0", "False 0\n"),
    ],
)
def test_a_trace_without_a_collector_has_an_id_and_is_not_recorded(
    endpoint: str, ratio: str, output: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, endpoint, ratio], capture_output=True, text=True, check=True
    )
    assert done.stdout == output


STATEMENTS = """
import os, sys, asyncpg
from goticket_platform.telemetry import configure_tracing

configure_tracing("example", sys.argv[1] or None, 1.0)
print(hasattr(asyncpg.Connection.execute, "__wrapped__"), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("endpoint", "output"), [("", "False\n"), ("http://127.0.0.1:1", "True\n")]
)
def test_sql_statements_have_spans_only_with_a_collector(endpoint: str, output: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STATEMENTS, endpoint], capture_output=True, text=True, check=True
    )
    assert done.stdout == output


EDGE = """
import os, sys
from goticket_platform.telemetry import configure_tracing, edge_span

configure_tracing("example", sys.argv[1] or None, float(sys.argv[2]))
for flags in ("00", "01"):
    span = edge_span("GET /", f"00-{'4b' * 16}-{'0a' * 8}-{flags}".encode())
    context = span.get_span_context()
    assert context.is_valid and context.trace_id != int("4b" * 16, 16)
    print(span.is_recording(), context.trace_flags.sampled, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("endpoint", "ratio", "recorded"),
    [
        ("", "1", False),
        ("http://127.0.0.1:1", "1", True),
        ("http://127.0.0.1:1", "0", False),
    ],
)
def test_a_caller_outside_decides_nothing_about_recording(
    endpoint: str, ratio: str, recorded: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EDGE, endpoint, ratio], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{recorded} {recorded}\n" * 2
