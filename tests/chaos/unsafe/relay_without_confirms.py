"""`booking relay`, but it takes events for published before the broker has them."""

import asyncio
from collections.abc import Sequence

from booking.entrypoints.cli import main
from goticket_platform.messaging.publisher import OutgoingMessage, Publisher

SEND_AFTER_SECONDS = 3.0

publish = Publisher.publish
under_way: set[asyncio.Task[None]] = set()


async def publish_some_day(
    self: Publisher, batch: Sequence[OutgoingMessage], seconds: float
) -> list[Exception | None]:
    """Say that it is done; do it later."""

    async def later() -> None:
        await asyncio.sleep(SEND_AFTER_SECONDS)
        await publish(self, batch, seconds)

    task = asyncio.create_task(later())
    under_way.add(task)
    task.add_done_callback(under_way.discard)
    return [None] * len(batch)


if __name__ == "__main__":
    Publisher.publish = publish_some_day  # type: ignore[method-assign]  # on purpose
    main()
