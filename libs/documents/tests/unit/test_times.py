"""The text of dates, times and periods."""
# ruff: noqa: RUF001 - the en dash is meant

import locale
import re
from datetime import UTC, datetime, timedelta

import pytest
from goticket_documents.times import date_text, period_text
from goticket_kernel.time_zones import TIME_ZONE_NAMES, TimeZone
from hypothesis import given
from hypothesis import strategies as st

BERLIN = TimeZone("Europe/Berlin")

OFFSET = r"UTC(?:(?P<sign>[+-])(?P<h>\d\d):(?P<m>\d\d))?"
CLOCK = re.compile(rf"(?P<clock>\d\d:\d\d)(?: \((?:[A-Za-z]+, )?{OFFSET}\))?")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day, hour …


def text(start: datetime, lasts: timedelta, zone: TimeZone = BERLIN) -> str:
    return str(period_text(start, start + lasts, zone))


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        (utc(2027, 6, 12, 17), "Europe/Berlin", "Europe/Berlin, CEST, UTC+02:00"),
        (utc(2027, 1, 12, 17), "Europe/Berlin", "Europe/Berlin, CET, UTC+01:00"),
        (utc(2027, 6, 12, 17), "America/Sao_Paulo", "America/Sao_Paulo, UTC-03:00"),
        (utc(2027, 6, 12, 17), "Asia/Kathmandu", "Asia/Kathmandu, UTC+05:45"),
        (utc(2027, 6, 12, 17), "America/St_Johns", "America/St_Johns, NDT, UTC-02:30"),
        (utc(2027, 6, 12, 17), "America/Argentina/Ushuaia", "America/Argentina/Ushuaia, UTC-03:00"),
        (utc(2027, 6, 12, 17), "UTC", "UTC"),
    ],
)
def test_the_zone_is_named_with_its_offset_at_that_moment(
    moment: datetime, zone: str, expected: str
) -> None:
    assert period_text(moment, moment + timedelta(hours=1), TimeZone(zone)).zone == expected


def test_the_rules_of_2026_hold_in_vancouver() -> None:
    # tzdata 2026: British Columbia no longer returns to standard time.
    assert text(utc(2026, 12, 31, 3), timedelta(hours=2), TimeZone("America/Vancouver")) == (
        "Wednesday, 30 December 2026, 20:00 – 22:00 (America/Vancouver, MST, UTC-07:00)"
    )


@pytest.mark.parametrize(
    ("start", "lasts", "zone", "expected"),
    [
        # Ambiguous: the clock shows 02:00 to 03:00 twice. The end is before the start on it.
        (
            utc(2027, 10, 31, 0, 30),
            timedelta(minutes=45),
            "Europe/Berlin",
            (
                "Sunday, 31 October 2027, 02:30 (CEST, UTC+02:00) – 02:15 (CET, UTC+01:00)"
                " (Europe/Berlin)"
            ),
        ),
        (
            utc(2027, 10, 31, 0, 30),
            timedelta(hours=1),
            "Europe/Berlin",
            (
                "Sunday, 31 October 2027, 02:30 (CEST, UTC+02:00) – 02:30 (CET, UTC+01:00)"
                " (Europe/Berlin)"
            ),
        ),
        # Both ends in the hour that is repeated, the first and the second time.
        (
            utc(2027, 10, 31, 0, 10),
            timedelta(minutes=30),
            "Europe/Berlin",
            "Sunday, 31 October 2027, 02:10 – 02:40 (Europe/Berlin, CEST, UTC+02:00)",
        ),
        (
            utc(2027, 10, 31, 1, 10),
            timedelta(minutes=30),
            "Europe/Berlin",
            "Sunday, 31 October 2027, 02:10 – 02:40 (Europe/Berlin, CET, UTC+01:00)",
        ),
        # Skipped: the clock never shows 02:00 to 03:00.
        (
            utc(2027, 3, 28, 0, 30),
            timedelta(hours=1),
            "Europe/Berlin",
            (
                "Sunday, 28 March 2027, 01:30 (CET, UTC+01:00) – 03:30 (CEST, UTC+02:00)"
                " (Europe/Berlin)"
            ),
        ),
        # Several days.
        (
            utc(2027, 10, 29, 18),
            timedelta(days=3, hours=5),
            "Europe/Berlin",
            (
                "Friday, 29 October 2027, 20:00 (CEST, UTC+02:00) – Tuesday, 2 November 2027, 00:00"
                " (CET, UTC+01:00) (Europe/Berlin)"
            ),
        ),
        # No abbreviation, half an hour of summer time.
        (
            utc(2027, 4, 3, 14, 30),
            timedelta(hours=1),
            "Australia/Lord_Howe",
            "Sunday, 4 April 2027, 01:30 (UTC+11:00) – 02:00 (UTC+10:30) (Australia/Lord_Howe)",
        ),
        # Another abbreviation, the same offset.
        (
            utc(2026, 10, 31, 20),
            timedelta(days=2),
            "America/Vancouver",
            (
                "Saturday, 31 October 2026, 13:00 (PDT, UTC-07:00) – Monday, 2 November 2026, 13:00"
                " (MST, UTC-07:00) (America/Vancouver)"
            ),
        ),
        # Over the end of a year.
        (
            utc(2027, 12, 31, 21),
            timedelta(hours=5),
            "Europe/Berlin",
            (
                "Friday, 31 December 2027, 22:00 – Saturday, 1 January 2028, 03:00"
                " (Europe/Berlin, CET, UTC+01:00)"
            ),
        ),
        # Shorter than a minute.
        (
            utc(2027, 6, 12, 17, 30),
            timedelta(0),
            "Europe/Berlin",
            "Saturday, 12 June 2027, 19:30 (Europe/Berlin, CEST, UTC+02:00)",
        ),
        (
            utc(2027, 6, 12, 17, 30, 10),
            timedelta(seconds=30),
            "Europe/Berlin",
            "Saturday, 12 June 2027, 19:30 (Europe/Berlin, CEST, UTC+02:00)",
        ),
    ],
)
def test_each_end_is_true_in_its_own_offset(
    start: datetime, lasts: timedelta, zone: str, expected: str
) -> None:
    assert text(start, lasts, TimeZone(zone)) == expected


@given(
    start=st.datetimes(datetime(2024, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    lasts=st.timedeltas(timedelta(), timedelta(days=200)),
    zone=st.sampled_from(sorted(TIME_ZONE_NAMES)).map(TimeZone),
)
def test_clock_time_minus_offset_is_the_instant(
    start: datetime, lasts: timedelta, zone: TimeZone
) -> None:
    end = start + lasts
    period = period_text(start, end, zone)
    common = re.search(OFFSET, period.zone)
    found = list(CLOCK.finditer(period.hours))

    # One clock time: the end shows the same minute.
    for moment, match in zip((start, end), [found[0], found[-1]], strict=True):
        offset = match if match["sign"] or "UTC" in match[0] else common
        assert offset is not None
        hours, minutes = int(offset["h"] or 0), int(offset["m"] or 0)
        local = moment + (-1 if offset["sign"] == "-" else 1) * timedelta(
            hours=hours, minutes=minutes
        )
        assert match["clock"] == f"{local:%H:%M}"
    assert period.date == date_text(start.astimezone(zone))


def test_the_date_is_that_of_the_events_zone() -> None:
    late = utc(2027, 12, 31, 23, 30)

    assert date_text(late.astimezone(BERLIN)) == "Saturday, 1 January 2028"
    assert date_text(late) == "Friday, 31 December 2027"


def test_the_locale_of_the_process_changes_nothing() -> None:
    before = locale.setlocale(locale.LC_TIME)
    try:
        for name in ("de_DE.UTF-8", "C.UTF-8", "C"):
            try:
                locale.setlocale(locale.LC_TIME, name)
            except locale.Error:
                continue
            assert date_text(utc(2027, 5, 2)) == "Sunday, 2 May 2027"
    finally:
        locale.setlocale(locale.LC_TIME, before)
