"""What has changed about an event, as buyers see it."""

from dataclasses import dataclass

from goticket_documents.times import period_text

from notification.bookings import Event

_NO_PLACE = "not given"


@dataclass(frozen=True)
class Difference:
    """One field of an event in two versions, as text."""

    label: str
    before: str
    now: str


def event_differences(before: Event, now: Event) -> list[Difference]:
    """Return the fields whose texts differ: name, date and time (with the zone), and place."""
    fields = [
        Difference("Name", before.name, now.name),
        Difference("Date and time", _period(before), _period(now)),
        Difference("Place", before.place or _NO_PLACE, now.place or _NO_PLACE),
    ]
    return [field for field in fields if field.before != field.now]


def _period(event: Event) -> str:
    return str(period_text(event.starts_at, event.ends_at, event.zone))
