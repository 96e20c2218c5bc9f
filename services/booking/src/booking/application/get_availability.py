"""Tell what is left of some events."""

from collections.abc import Sequence
from uuid import UUID

from booking.application.ports import Availability, Stocks
from booking.application.provision_event import ProvisionEvent
from booking.domain.errors import FieldError, InvalidBooking
from booking.domain.event import EventStatus
from booking.domain.stock import EventStock

MAX_EVENTS = 200


async def get_availability(
    event_ids: Sequence[UUID],
    *,
    stocks: Stocks,
    provision: ProvisionEvent,
    availability: Availability,
) -> list[EventStock]:
    """Read the stock of events, fetching unknown ones from the catalog, and show it to all.

    Drafts are left out: they are their organizer's business.

    Raises:
        InvalidBooking: more than MAX_EVENTS ids.
        CatalogUnavailable: an event is not known here and the catalog is down.
    """
    if len(event_ids) > MAX_EVENTS:
        raise InvalidBooking(
            fields=[FieldError("eventIds", f"Must have at most {MAX_EVENTS} entries.")]
        )
    found = await stocks.find_stocks(event_ids)
    missing = set(event_ids) - {stock.event.id for stock in found}
    if missing:
        await provision.many(missing)
        found += await stocks.find_stocks(missing)
    public = [stock for stock in found if stock.event.status is not EventStatus.DRAFT]
    await availability.show(public)
    return public
