"""Renders e-mails; large ones in a process beside the event loop."""

from datetime import datetime
from uuid import UUID

from goticket_platform.worker_pool.pool import WorkerPool
from prometheus_client import Counter

from notification.bookings import LARGE_TICKETS, Notification, NotificationKind
from notification.email_rendering import Email, SenderProfile, missing_in_tickets, render_email

INLINE_TICKETS = LARGE_TICKETS
"""E-mails with at most this many tickets are rendered on the event loop."""
INLINE_BOOKINGS = 40
"""The same for the bookings of one e-mail: each is an entry of its calendar file, which takes half
a millisecond."""
MAX_WAITING = 1000
"""More than a worker handles at once, so that no e-mail is refused."""
CALL_SECONDS = 60.0
"""Hundreds of tickets take a second, and much longer on a busy machine."""

MISSING = Counter(
    "goticket_notification_missing_characters", "Characters of sent tickets that no font has"
)


class RenderPool:
    """Renders small e-mails on the event loop and large ones in one process, in order.

    A large e-mail would block the event loop, also from a thread, since both need the
    interpreter. For a small one another process costs more than it saves: its arguments and its
    result are pickled. To use more processors, start more workers.
    """

    def __init__(self, profile: SenderProfile) -> None:
        self._profile = profile
        self._pool = WorkerPool(
            "e-mails",
            max_waiting=MAX_WAITING,
            modules=(render_email.__module__,),
            call_seconds=CALL_SECONDS,
            niceness=0,  # an e-mail must not wait for ever because the machine is busy
        )

    async def render(self, notification: Notification, message_id: UUID, now: datetime) -> Email:
        """Return the e-mail.

        Raises:
            InvalidRecipient: the buyer's address is malformed.
            CallFailed: the process died twice or took too long.
        """
        arguments = (self._profile, notification, message_id, now)
        tickets = notification.booking.tickets
        if notification.kind is not NotificationKind.TICKETS:
            tickets = ()  # they are not rendered
        if len(tickets) <= INLINE_TICKETS and len(notification.bookings) <= INLINE_BOOKINGS:
            email, missing = _render(*arguments)
        else:
            email, missing = await self._pool.run(_render, *arguments)
        MISSING.inc(missing)
        return email

    async def close(self) -> None:
        """Finish the e-mails that are being rendered, and end the process."""
        await self._pool.close()


def _render(
    profile: SenderProfile, notification: Notification, message_id: UUID, now: datetime
) -> tuple[Email, int]:
    """Return the e-mail, and how many characters of its tickets no font has."""
    return render_email(profile, notification, message_id, now), missing_in_tickets(notification)
