"""`migrate` of every service that owns tables, while its database is away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from goticket_local.stack.services import SERVICES_WITH_TABLES


@pytest.mark.parametrize("service", SERVICES_WITH_TABLES)
def test_a_database_that_is_away_is_one_line_and_exit_code_1(service: str) -> None:
    away = {f"{service.upper()}_DATABASE_URL": "postgresql://127.0.0.1:1/nothing"}
    done = subprocess.run(
        [Path(sys.executable).with_name(service), "migrate", "up"],
        env=os.environ | away,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("migrate: cannot connect to the database: ")
