"""`booking relay` that deletes outbox rows before the broker has confirmed their messages."""

import asyncio
from collections.abc import Sequence

from booking.entrypoints.cli import main
from goticket_platform.messaging.publisher import OutgoingMessage, Publisher

PUBLISH_DELAY_SECONDS = 3.0

publish = Publisher.publish
pending: set[asyncio.Task[None]] = set()


async def publish_later(
    self: Publisher, batch: Sequence[OutgoingMessage], seconds: float
) -> list[Exception | None]:
    """Report success at once and publish after a delay."""

    async def delayed() -> None:
        await asyncio.sleep(PUBLISH_DELAY_SECONDS)
        await publish(self, batch, seconds)

    task = asyncio.create_task(delayed())
    pending.add(task)
    task.add_done_callback(pending.discard)
    return [None] * len(batch)


if __name__ == "__main__":
    Publisher.publish = publish_later  # type: ignore[method-assign]  # on purpose
    main()
