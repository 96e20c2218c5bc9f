"""The command `migrate` of every service that owns tables, without its database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from goticket_testing.databases import ROLES


@pytest.mark.parametrize("service", sorted(ROLES))
def test_an_unreachable_database_is_one_line_of_error_and_exit_code_1(service: str) -> None:
    unreachable = {f"{service.upper()}_DATABASE_URL": "postgresql://127.0.0.1:1/nothing"}
    process = subprocess.run(
        [Path(sys.executable).with_name(service), "migrate", "up"],
        env=os.environ | unreachable,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (process.returncode, process.stdout) == (1, "")
    [line] = process.stderr.splitlines()
    assert line.startswith("migrate: cannot connect to the database: ")
