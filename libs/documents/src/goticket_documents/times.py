"""Moments as people read them: at the event's place, the zone named, free of locales."""

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
    """The IANA time zone of that name; None if this machine's data does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def date_text(moment: datetime) -> str:
    """For example "Saturday, 12 June 2027", in the zone the moment is in."""
    month = _MONTHS[moment.month - 1]
    return f"{_DAYS[moment.weekday()]}, {moment.day} {month} {moment.year}"


def clock_text(moment: datetime) -> str:
    """For example "19:30"."""
    return f"{moment.hour:02d}:{moment.minute:02d}"


def zone_text(moment: datetime, zone: ZoneInfo) -> str:
    """For example "Europe/Berlin, CEST, UTC+02:00" for a moment in that zone."""
    local = moment.astimezone(zone)
    minutes = int((local.utcoffset() or local - local).total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    offset = f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    # Zones without a customary abbreviation call themselves "-03" or "+0545".
    name = local.tzname() or ""
    parts = [zone.key, name if name.isalpha() else "", offset if name != "UTC" else ""]
    return ", ".join(dict.fromkeys(part for part in parts if part))


def clock_span_text(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
    """From when to when: the end names its day only if that is another one.

    "19:30" and "23:00", or "22:00" and "Sunday, 13 June 2027, 04:00", with an en dash between.
    """
    start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
    until = clock_text(end)
    if start.date() != end.date():
        until = f"{date_text(end)}, {until}"
    return f"{clock_text(start)} \N{EN DASH} {until}"
