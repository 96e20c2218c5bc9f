"""Local times of events, and how a change of a zone's rules moves them.

An event is stored as instants and a zone. Its local times follow from the zone's rules. They are
recorded when an organizer sets them, since a later release of the rules may give others.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from goticket_kernel.time_zones import TIME_ZONE_DATA, TimeZone


@dataclass(frozen=True)
class LocalTimes:
    """Start and end as the clocks of the event's zone show them, without a zone.

    `time_zone_data` is the release of the rules, such as "2026f".
    """

    starts_at: datetime
    ends_at: datetime
    time_zone_data: str


@dataclass(frozen=True)
class Schedule:
    """The times of an event, and its local times when an organizer set them."""

    event_id: UUID
    organizer_id: UUID
    name: str
    timezone: str
    starts_at: datetime
    ends_at: datetime
    recorded: LocalTimes


def local_times(timezone: str, starts_at: datetime, ends_at: datetime) -> LocalTimes:
    """Return the local times by the present rules. `timezone` is one of TIME_ZONE_NAMES."""
    zone = TimeZone(timezone)
    start, end = (moment.astimezone(zone).replace(tzinfo=None) for moment in (starts_at, ends_at))
    return LocalTimes(start, end, TIME_ZONE_DATA)


def moved_local_times(schedule: Schedule) -> LocalTimes | None:
    """Return the present local times if they are not the recorded ones, otherwise None."""
    present = local_times(schedule.timezone, schedule.starts_at, schedule.ends_at)
    recorded = schedule.recorded
    same = (present.starts_at, present.ends_at) == (recorded.starts_at, recorded.ends_at)
    return None if same else present
