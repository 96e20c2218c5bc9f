"""Background work ends with the gateway."""

import asyncio

from gateway.bootstrap import _cancel


async def test_work_ends_even_if_a_client_replaces_its_cancellation() -> None:
    replaced = 0

    async def work() -> None:
        nonlocal replaced
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                replaced += 1
                if replaced == 2:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.wait_for(_cancel(task), 10)
    assert task.cancelled()
    assert replaced == 2


async def test_work_that_fails_while_it_ends_does_not_stop_the_shutdown() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise OSError from None

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await _cancel(task)
    assert task.done()
