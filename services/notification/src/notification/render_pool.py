"""Renders e-mails; those with many tickets in a thread beside the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

from notification.bookings import LARGE_TICKETS, Notification
from notification.email_rendering import Email, SenderProfile, render_email

INLINE_TICKETS = LARGE_TICKETS
"""E-mails with at most this many tickets are rendered on the event loop."""


class RenderPool:
    """Renders small e-mails on the event loop and large ones in one thread, in order.

    A large e-mail would block the event loop. For a small one a thread costs
    more than it saves: a sixth of a worker's throughput was measured. Further threads would
    only compete for the interpreter. Separate processes gain nothing either, because pickling
    costs nearly as much as rendering. To use more processors, start more workers.
    """

    def __init__(self, profile: SenderProfile) -> None:
        self._profile = profile
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")

    async def render(self, notification: Notification, message_id: UUID, now: datetime) -> Email:
        """Return the e-mail.

        Raises:
            InvalidRecipient: the buyer's address is malformed.
        """
        arguments = (self._profile, notification, message_id, now)
        if len(notification.booking.tickets) <= INLINE_TICKETS:
            return render_email(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, render_email, *arguments)

    async def close(self) -> None:
        """Stop the thread. No rendering may be in progress."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
