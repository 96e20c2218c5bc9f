"""No process, library or statement uses time zone rules other than those of the pinned package."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from goticket_kernel.time_zones import TIME_ZONE_DATA
from goticket_local.manifest import load_services

ROOT = Path(__file__).parents[2]
PROGRAMS = [
    pytest.param(target.partition(":")[0], id=program)
    for service in load_services(ROOT)
    for program, target in tomllib.loads((service.folder / "pyproject.toml").read_text())[
        "project"
    ]["scripts"].items()
]
# The processes that draw tickets beside the event loop import only this.
PROGRAMS.append(pytest.param("goticket_documents.ticket_pdf", id="drawing"))
# What libraries and first-party code alike get from the standard library.
PROGRAM = """
import importlib, sys
importlib.import_module(sys.argv[1])
import zoneinfo
from datetime import datetime
zone = zoneinfo.ZoneInfo("America/Vancouver")
print(zoneinfo.TZPATH, zone.utcoffset(datetime(2026, 12, 31, 3)))
"""
# PostgreSQL has its own copy of the rules, of the age of its package.
RULES_IN_SQL = re.compile(
    r"AT\s+TIME\s+ZONE|AT\s+LOCAL|SET\s+TIME\s*ZONE|pg_timezone|\btimezone\s*\(|make_timestamptz"
    r"|::\s*timestamp\s+with\s+time\s+zone",
    re.IGNORECASE,
)


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_ignores_the_systems_time_zones(module: str, tmp_path: Path) -> None:
    # In this system's data, Vancouver has the rules of Tokyo.
    wrong = tmp_path / "America" / "Vancouver"
    wrong.parent.mkdir()
    tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo")
    wrong.write_bytes(tokyo.read_bytes())

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path), "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert done.stdout.strip() == "() -1 day, 17:00:00"  # UTC-07:00


def test_the_lock_pins_the_release_in_use() -> None:
    (pin,) = re.findall(r"^tzdata==(\d+)\.(\d+)", (ROOT / "requirements.lock").read_text(), re.M)

    assert f"{pin[0]}{chr(ord('a') + int(pin[1]) - 1)}" == TIME_ZONE_DATA


def test_no_statement_uses_the_time_zones_of_postgresql() -> None:
    files = [*ROOT.glob("libs/**/*.sql"), *ROOT.glob("services/**/*.sql")]
    files += [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    assert len(files) > 100

    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        for match in RULES_IN_SQL.finditer(path.read_text())
        # In Python, `timezone(…)` is a fixed offset.
        if path.suffix == ".sql" or not match[0].lower().startswith("timezone")
    ]

    assert found == []
