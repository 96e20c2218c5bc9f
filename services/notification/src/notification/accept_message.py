"""Handles a message: stores the delivery that it requests, or the version of an event."""

from collections.abc import Callable

from goticket_contracts import event_types
from goticket_platform.messaging.consumer import ReceivedMessage

from notification.delivery_queue import DeliveryQueue, SenderGroup, sender_group
from notification.event_changes import EventChanges
from notification.event_mapping import map_message
from notification.event_versions import map_event_version

_CATALOG_EVENTS = frozenset(
    {event_types.EVENT_PUBLISHED, event_types.EVENT_UPDATED, event_types.EVENT_CANCELLED}
)


async def accept_message(
    message: ReceivedMessage,
    *,
    queue: DeliveryQueue,
    changes: EventChanges,
    wake: Callable[[SenderGroup], None],
) -> None:
    """Store the delivery and wake the senders. Messages at the same time share a statement.

    A message about an event stores its version; `announce_changes` does the rest.

    Raises:
        NonRetryableError: the message is malformed.
        asyncpg.PostgresError: nothing may be stored; the message is retried.
    """
    if message.type in _CATALOG_EVENTS:
        await _accept_event(message, changes)
        return
    request = map_message(message)
    if request is not None:
        await queue.enqueue(request)
        wake(sender_group(request.ticket_count))


async def _accept_event(message: ReceivedMessage, changes: EventChanges) -> None:
    version = map_event_version(message)
    if version.is_cancelled:
        await changes.record_cancellation(version.event_id, version.event)
    elif version.is_published:
        await changes.record(version.event_id, version.event)
