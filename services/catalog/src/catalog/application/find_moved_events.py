"""Use case: an operator finds the events that new time zone rules have moved."""

from collections.abc import AsyncIterator

from catalog.application.ports import Clock, ScheduleSource
from catalog.domain.local_times import LocalTimes, Schedule, moved_local_times


async def find_moved_events(
    *, schedules: ScheduleSource, clock: Clock
) -> AsyncIterator[tuple[Schedule, LocalTimes]]:
    """Yield each event that is not over and whose local times are not those that were set.

    The second value has the present local times. Nothing is changed: only the organizer knows
    whether the event keeps its instant or its local time.
    """
    async for schedule in schedules.unfinished(clock()):
        if present := moved_local_times(schedule):
            yield schedule, present
