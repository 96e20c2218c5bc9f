"""`booking relay`, but it takes an event for published before the broker has it."""

import asyncio
from typing import Any

import aiormq

SEND_AFTER_SECONDS = 2.0

publish = aiormq.Channel.basic_publish
under_way: set[asyncio.Task[Any]] = set()


async def publish_some_day(channel: aiormq.Channel, body: bytes, **more: Any) -> None:
    """Say that it is done; do it later."""

    async def later() -> None:
        await asyncio.sleep(SEND_AFTER_SECONDS)
        await publish(channel, body, **more)

    task = asyncio.create_task(later())
    under_way.add(task)
    task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    aiormq.Channel.basic_publish = publish_some_day  # type: ignore[assignment,method-assign]  # on purpose
    from booking.entrypoints.cli import main

    main()
