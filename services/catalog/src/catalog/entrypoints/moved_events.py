"""The report of `catalog moved-events`: one JSON object per line."""

import json
from datetime import datetime
from uuid import UUID

from catalog.domain.local_times import LocalTimes, Schedule


def moved_event_line(schedule: Schedule, present: LocalTimes) -> str:
    """Return the line of one event."""
    fields = {
        "eventId": schedule.event_id,
        "organizerId": schedule.organizer_id,
        "name": schedule.name,
        "timezone": schedule.timezone,
        "startAt": schedule.starts_at,
        "endAt": schedule.ends_at,
        "set": _local_times(schedule.recorded),
        "present": _local_times(present),
    }
    return json.dumps(fields, default=_text, ensure_ascii=False)


def _local_times(times: LocalTimes) -> dict[str, object]:
    return {
        "localStart": times.starts_at,
        "localEnd": times.ends_at,
        "timeZoneData": times.time_zone_data,
    }


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
