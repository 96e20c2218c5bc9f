"""Dates, times and zones as text, independent of the process's locale."""

from dataclasses import dataclass
from datetime import datetime

from goticket_kernel.time_zones import TimeZone

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


@dataclass(frozen=True)
class PeriodText:
    """A period in local time, in three parts. Its text form joins them on one line.

    `hours` begins with the start's clock time; `date` is the day of the start.
    """

    date: str
    hours: str
    zone: str

    def __str__(self) -> str:
        return f"{self.date}, {self.hours} ({self.zone})"


def period_text(starts_at: datetime, ends_at: datetime, zone: TimeZone) -> PeriodText:
    """Return a period as its zone's clocks show it; the only form in which people read times.

    The end has a date only on another day. When abbreviation or offset change during the period,
    `hours` has them for each end: "02:30 (CEST, UTC+02:00)" to "02:15 (CET, UTC+01:00)".
    Otherwise `zone` has them: "Europe/Berlin, CEST, UTC+02:00". Seconds are left out, and with
    them the end of a period in which the clock shows no other minute.
    """
    start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
    first, last = clock_text(start), clock_text(end)
    offset, end_offset = _offset_text(start), _offset_text(end)
    zone_text = ", ".join(dict.fromkeys([zone.key, *offset]))
    if offset != end_offset:
        first, last = f"{first} ({', '.join(offset)})", f"{last} ({', '.join(end_offset)})"
        zone_text = zone.key
    if start.date() != end.date():
        last = f"{date_text(end)}, {last}"
    hours = first if first == last else f"{first} \N{EN DASH} {last}"
    return PeriodText(date_text(start), hours, zone_text)


def date_text(moment: datetime) -> str:
    """Return a date such as "Saturday, 12 June 2027", in the moment's own zone."""
    month = _MONTHS[moment.month - 1]
    return f"{_DAYS[moment.weekday()]}, {moment.day} {month} {moment.year}"


def clock_text(moment: datetime) -> str:
    """Return a time such as "19:30", in the moment's own zone."""
    return f"{moment.hour:02d}:{moment.minute:02d}"


def _offset_text(local: datetime) -> list[str]:
    """Return abbreviation and offset, such as ["CEST", "UTC+02:00"], or ["UTC"].

    Zones without an abbreviation have their offset in its place, such as "-03" or "+0545".
    """
    name = local.tzname() or ""
    if name == "UTC":
        return [name]
    minutes = int((local.utcoffset() or local - local).total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    offset = f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    return [name, offset] if name.isalpha() else [offset]
