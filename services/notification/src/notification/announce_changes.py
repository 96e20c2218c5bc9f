"""Announces changes of events: turns each into one delivery per buyer, page by page."""

from collections.abc import Callable
from typing import Protocol

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import RetryableError
from goticket_platform.postgres import is_transient
from prometheus_client import Gauge

from notification.event_changes import Announcement, BuyerPage, EventChanges

POLL_SECONDS = 1.0
PAGE_SIZE = 500
"""Bookings of one page."""

UNFINISHED = Gauge(
    "goticket_notification_announcements_unfinished",
    "Announcements of event changes that have not reached all buyers; they may wait for booking",
)

logger = get_logger(__name__)


class EventBuyers(Protocol):
    """Reads who has confirmed bookings for an event."""

    async def page(self, announcement: Announcement, limit: int) -> BuyerPage | None:
        """Return the next buyers; None while the booking service has an older version."""
        ...


async def announce_changes(
    changes: EventChanges, buyers: EventBuyers, wake: Callable[[], None], stop: Stop
) -> None:
    """Start due announcements and continue unfinished ones until `stop`."""
    while True:
        try:
            await changes.start_due()
            await continue_announcements(changes, buyers, wake, stop)
        except Exception as error:  # noqa: BLE001 - logged, and repeated in the next round
            _log(error)
        if await stop.wait(POLL_SECONDS):
            return


async def continue_announcements(
    changes: EventChanges,
    buyers: EventBuyers,
    wake: Callable[[], None],
    stop: Stop,
    *,
    page_size: int = PAGE_SIZE,
) -> None:
    """Enqueue pages of all unfinished announcements in turn, while there are any.

    A large event delays others by one page at a time. An announcement that cannot continue now
    is left for the next round.
    """
    while not stop.is_set():
        advanced = False
        unfinished = await changes.unfinished()
        UNFINISHED.set(len(unfinished))
        for announcement in unfinished:
            try:
                advanced |= await _advance(announcement, changes, buyers, page_size)
            except Exception as error:  # noqa: BLE001 - the other announcements continue
                _log(error, event_id=str(announcement.event_id))
        if not advanced:
            return
        wake()


async def _advance(
    announcement: Announcement, changes: EventChanges, buyers: EventBuyers, page_size: int
) -> bool:
    page = await buyers.page(announcement, page_size)
    if page is None:
        return False
    await changes.enqueue(announcement, page)
    if page.is_last:
        logger.info("event change announced", event_id=str(announcement.event_id))
    return True


def _log(error: Exception, **context: str) -> None:
    is_outage = is_transient(error) or isinstance(error, RetryableError)
    logger.warning(
        "announcing event changes failed",
        reason=type(error).__name__,
        exc_info=None if is_outage else error,
        **context,
    )
