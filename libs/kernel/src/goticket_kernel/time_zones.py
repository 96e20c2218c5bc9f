"""IANA time zones. The pinned `tzdata` package is the only source of their rules.

Importing this module removes the operating system's directories from the search path of
`zoneinfo`, for the whole process and so for libraries too. An image's system data may be years
older, and would make two processes print different local times of one event. Linting bans every
other import of `zoneinfo`.
"""

import zoneinfo
from zoneinfo import ZoneInfo as TimeZone

import tzdata

__all__ = ["TIME_ZONE_DATA", "TIME_ZONE_NAMES", "UTC_ZONE", "TimeZone", "find_time_zone"]

zoneinfo.reset_tzpath(())
# A library may have loaded zones from the system before.
TimeZone.clear_cache()

TIME_ZONE_DATA: str = tzdata.IANA_VERSION
"""Release of the time zone database, such as "2026f"."""

TIME_ZONE_NAMES = frozenset(zoneinfo.available_timezones()) - {"Factory"}
"""Zones and links of the database in their exact spelling, such as "Europe/Berlin".

A link such as "US/Pacific" is a name like any other. "Factory" means "not configured". Names of
files that only systems have ("localtime", "posix/…", "right/…") are not part of the package.
"""

UTC_ZONE = TimeZone("UTC")


def find_time_zone(name: str) -> TimeZone | None:
    """Return the zone, or None unless the name is one of TIME_ZONE_NAMES."""
    return TimeZone(name) if name in TIME_ZONE_NAMES else None
