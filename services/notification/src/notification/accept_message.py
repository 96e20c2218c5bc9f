"""Handles a message: stores the delivery that it requests."""

from collections.abc import Callable

from goticket_platform.messaging.consumer import ReceivedMessage

from notification.delivery_queue import DeliveryQueue, SenderGroup, sender_group
from notification.event_mapping import map_message


async def accept_message(
    message: ReceivedMessage, *, queue: DeliveryQueue, wake: Callable[[SenderGroup], None]
) -> None:
    """Store the delivery and wake the senders. Messages at the same time share a statement.

    Raises:
        NonRetryableError: the message is malformed.
        asyncpg.PostgresError: the delivery may not be stored; the message is retried.
    """
    request = map_message(message)
    if request is not None:
        await queue.enqueue(request)
        wake(sender_group(request.ticket_count))
