"""Rules of time zones come from the pinned package, whatever the operating system has."""

import os
import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import metadata, resources
from pathlib import Path

import pytest
from goticket_kernel.time_zones import (
    TIME_ZONE_DATA,
    TIME_ZONE_NAMES,
    UTC_ZONE,
    TimeZone,
    find_time_zone,
)

_PROGRAM = """
from zoneinfo import ZoneInfo
before = ZoneInfo("America/Vancouver")
import goticket_kernel.time_zones
from datetime import UTC, datetime
print(ZoneInfo("America/Vancouver").utcoffset(datetime(2026, 12, 31, 3)))
"""


def offset(zone: str, *parts: int) -> timedelta:
    """Return the offset at a time in UTC."""
    moment = datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day, hour …
    return moment.astimezone(TimeZone(zone)).utcoffset() or timedelta()


def test_the_systems_directories_are_not_searched() -> None:
    assert zoneinfo.TZPATH == ()


def test_zones_that_were_loaded_before_from_the_system_are_dropped(tmp_path: Path) -> None:
    # The system's file of Vancouver has the rules of Tokyo.
    zone = tmp_path / "America" / "Vancouver"
    zone.parent.mkdir()
    tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo")
    zone.write_bytes(tokyo.read_bytes())

    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert result.stdout.strip() == "-1 day, 17:00:00"  # UTC-07:00


def test_the_release_is_that_of_the_installed_package() -> None:
    year, number = metadata.version("tzdata").split(".")[:2]

    assert f"{year}{chr(ord('a') + int(number) - 1)}" == TIME_ZONE_DATA


# Each row is a change of law of the last years, as the tz database's NEWS file reports it. A zone
# whose rules change again fails here at an update of tzdata. ADR 0016 says what to do then.
@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("America/Vancouver", (2026, 12, 31, 3), -7),  # 2026: no return to standard time
        ("America/Vancouver", (2026, 1, 31, 3), -8),
        ("Africa/Cairo", (2024, 7, 1), 3),  # 2023: summer time again
        ("Africa/Cairo", (2022, 7, 1), 2),
        ("America/Mexico_City", (2023, 7, 1), -6),  # 2022: summer time abolished
        ("America/Mexico_City", (2022, 7, 1), -5),
        ("Asia/Almaty", (2024, 7, 1), 5),  # March 2024: one zone in Kazakhstan
        ("Asia/Almaty", (2024, 1, 1), 6),
        ("America/Asuncion", (2025, 7, 1), -3),  # October 2024: summer time for ever
        ("America/Asuncion", (2024, 7, 1), -4),
        ("America/Nuuk", (2024, 7, 1), -1),  # 2023: an hour closer to Europe, summer time later
        ("America/Nuuk", (2024, 1, 1), -2),
        ("America/Nuuk", (2022, 1, 1), -3),
        ("Africa/Casablanca", (2025, 3, 10), 0),  # Ramadan 2025
        ("Africa/Casablanca", (2025, 5, 1), 1),
    ],
)
def test_recent_changes_of_law_are_known(zone: str, moment: tuple[int, ...], hours: int) -> None:
    assert offset(zone, *moment) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "US/Pacific", "Asia/Calcutta", "UTC", "Etc/GMT+8"]
)
def test_zones_and_links_are_names(name: str) -> None:
    assert name in TIME_ZONE_NAMES
    assert find_time_zone(name) == TimeZone(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "Europe",
        "europe/berlin",
        "EUROPE/BERLIN",
        " Europe/Berlin",
        "Europe/Berlin\n",
        "Europe//Berlin",
        "Europe/./Berlin",
        "localtime",
        "Factory",
        "posixrules",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "zone.tab",
        "tzdata.zi",
        "../../etc/passwd",
        "/usr/share/zoneinfo/Europe/Berlin",
        "a\0b",
        "GMT+3",
        "UTC+02:00",
        "+02:00",
        "CEST",
        "\ud800",
    ],
)
def test_everything_else_is_no_name(name: str) -> None:
    assert name not in TIME_ZONE_NAMES
    assert find_time_zone(name) is None


def test_every_name_has_rules() -> None:
    moment = datetime(2027, 1, 1, tzinfo=UTC)

    assert all(moment.astimezone(TimeZone(name)).tzname() for name in TIME_ZONE_NAMES)
    assert UTC_ZONE.key == "UTC"
