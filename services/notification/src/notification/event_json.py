"""Events as JSON, in the form in which deliveries and announcements store them."""

import json
from datetime import datetime

from goticket_kernel.time_zones import UTC_ZONE, find_time_zone

from notification.bookings import Event


def event_json(event: Event) -> str:
    """Return the facts that e-mails show. Equal facts have equal JSON; the version is left out."""
    facts = {
        "name": event.name,
        "place": event.place,
        "zone": event.zone.key,
        "startsAt": event.starts_at.isoformat(),
        "endsAt": event.ends_at.isoformat(),
    }
    return json.dumps(facts)


def event_from_json(text: str) -> Event:
    """Return the event that `event_json` wrote, with version 0.

    A zone that only a newer release knows is read as UTC, as from messages: an error here would
    fail the whole claim again and again.
    """
    facts = json.loads(text)
    return Event(
        name=facts["name"],
        place=facts["place"],
        zone=find_time_zone(facts["zone"]) or UTC_ZONE,
        starts_at=datetime.fromisoformat(facts["startsAt"]),
        ends_at=datetime.fromisoformat(facts["endsAt"]),
        version=0,
    )
