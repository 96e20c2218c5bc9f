"""The text of dates, times and zones."""
# ruff: noqa: RUF001 - the en dash is meant

import locale
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from goticket_documents.times import clock_span_text, date_text, known_zone, zone_text

BERLIN = ZoneInfo("Europe/Berlin")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day, hour …


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        (utc(2027, 6, 12, 17), "Europe/Berlin", "Europe/Berlin, CEST, UTC+02:00"),
        (utc(2027, 1, 12, 17), "Europe/Berlin", "Europe/Berlin, CET, UTC+01:00"),
        (utc(2027, 6, 12, 17), "America/Sao_Paulo", "America/Sao_Paulo, UTC-03:00"),
        (utc(2027, 6, 12, 17), "Asia/Kathmandu", "Asia/Kathmandu, UTC+05:45"),
        (utc(2027, 6, 12, 17), "America/St_Johns", "America/St_Johns, NDT, UTC-02:30"),
        (utc(2027, 6, 12, 17), "UTC", "UTC"),
    ],
)
def test_the_zone_is_named_with_its_offset_at_that_moment(
    moment: datetime, zone: str, text: str
) -> None:
    assert zone_text(moment, ZoneInfo(zone)) == text


def test_local_times_are_the_same_before_and_after_the_start_of_summer_time() -> None:
    before, after = utc(2027, 3, 27, 18, 30), utc(2027, 3, 28, 17, 30)

    assert clock_span_text(before, before + timedelta(hours=2), BERLIN) == "19:30 – 21:30"
    assert clock_span_text(after, after + timedelta(hours=2), BERLIN) == "19:30 – 21:30"


def test_a_span_over_the_end_of_summer_time_has_local_times() -> None:
    start = utc(2027, 10, 30, 22)

    text = clock_span_text(start, start + timedelta(hours=4), BERLIN)

    assert text == "00:00 – 03:00"


def test_an_end_on_another_day_has_its_date() -> None:
    start = utc(2027, 6, 12, 20)

    text = clock_span_text(start, start + timedelta(hours=6), BERLIN)

    assert text == "22:00 – Sunday, 13 June 2027, 04:00"


def test_the_date_is_that_of_the_events_zone() -> None:
    late = utc(2027, 12, 31, 23, 30)

    assert date_text(late.astimezone(BERLIN)) == "Saturday, 1 January 2028"
    assert date_text(late) == "Friday, 31 December 2027"


def test_the_locale_of_the_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_unknown_zone_is_none() -> None:
    assert known_zone("Europe/Berlin") == BERLIN
    for name in ("Mars/Olympus", "", "../etc/passwd", "Europe", "a\0b"):
        assert known_zone(name) is None
