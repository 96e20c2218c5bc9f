"""Baselines for the ratios of the report, measured on the same servers in the same run."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from goticket_local import programs
from goticket_local.ports import free_port
from goticket_local.servers import PostgresServer
from goticket_local.servers.base import minimal_environment

SCRIPT = Path(__file__).parent / "scripts" / "one_transaction.sql"
DATABASE = "baseline"
CLIENTS = 64
TABLES = """
CREATE TABLE IF NOT EXISTS stock (
    id int PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0)) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS booking (
    id uuid PRIMARY KEY, stock_id int NOT NULL, buyer bigint NOT NULL, quantity int NOT NULL,
    created_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type text NOT NULL, payload jsonb NOT NULL);
INSERT INTO stock VALUES (1, 1000000000) ON CONFLICT DO NOTHING;
"""
START_SECONDS = 20.0


def one_transaction_per_booking(server: PostgresServer, seconds: float) -> float:
    """Return the bookings/s of pgbench with 64 clients and one transaction per booking."""
    server.create_database(DATABASE)
    server.run_sql(DATABASE, TABLES)
    done = subprocess.run(
        [
            str(programs.find("postgres").with_name("pgbench")),
            *("--no-vacuum", "--protocol", "prepared", "--file", str(SCRIPT)),
            *("--client", str(CLIENTS), "--jobs", "2", "--time", str(max(1, round(seconds)))),
            *("--host", "127.0.0.1", "--port", str(server.port), "--username", "postgres"),
            DATABASE,
        ],
        env=minimal_environment() | {"PGPASSWORD": server.password},
        check=True,
        capture_output=True,
        text=True,
    )
    return transactions_per_second(done.stdout)


def transactions_per_second(output: str) -> float:
    """Parse the output of pgbench. Raises `ValueError` if it has no result."""
    found = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    if found is None:
        raise ValueError(output)
    return float(found[1])


@contextlib.contextmanager
def bare_fastapi_server() -> Iterator[str]:
    """Serve the bare FastAPI application with uvicorn; yields its address.

    Raises:
        RuntimeError: it did not start.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "goticket_load.bare_fastapi:app"),
            *("--port", str(port), "--no-access-log", "--log-level", "warning"),
        ],
        env=minimal_environment() | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(address):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the bare FastAPI server did not start")
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(address).is_success
    except httpx.TransportError:
        return False
