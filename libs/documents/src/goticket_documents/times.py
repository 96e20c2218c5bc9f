"""Dates, times and zones as text, independent of the process's locale."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def known_zone(name: str) -> ZoneInfo | None:
    """Return the IANA time zone, or None if this machine's time zone data lacks it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def date_text(moment: datetime) -> str:
    """Return a date such as "Saturday, 12 June 2027", in the moment's own zone."""
    month = _MONTHS[moment.month - 1]
    return f"{_DAYS[moment.weekday()]}, {moment.day} {month} {moment.year}"


def clock_text(moment: datetime) -> str:
    """Return a time such as "19:30"."""
    return f"{moment.hour:02d}:{moment.minute:02d}"


def zone_text(moment: datetime, zone: ZoneInfo) -> str:
    """Return zone and offset at the moment, such as "Europe/Berlin, CEST, UTC+02:00"."""
    local = moment.astimezone(zone)
    minutes = int((local.utcoffset() or local - local).total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    offset = f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    # The abbreviation of some zones is only an offset, such as "-03" or "+0545".
    name = local.tzname() or ""
    parts = [zone.key, name if name.isalpha() else "", offset if name != "UTC" else ""]
    return ", ".join(dict.fromkeys(part for part in parts if part))


def clock_span_text(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
    """Return start and end with an en dash between; the end has a date only on another day.

    Examples of an end are "23:00" and "Sunday, 13 June 2027, 04:00".
    """
    start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
    until = clock_text(end)
    if start.date() != end.date():
        until = f"{date_text(end)}, {until}"
    return f"{clock_text(start)} \N{EN DASH} {until}"
