"""Detecting disconnects without waiting."""

import asyncio

from gateway.http.disconnect import is_disconnected
from starlette.types import Message


class Connection:
    """ASGI's `receive` as servers write it."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def receive(self) -> Message:
        await self.closed.wait()
        return {"type": "http.disconnect"}


async def test_a_waiting_client_is_connected_and_can_be_checked_again() -> None:
    connection = Connection()
    assert not is_disconnected(connection.receive)
    assert not is_disconnected(connection.receive)
    connection.closed.set()
    assert is_disconnected(connection.receive)


async def test_a_check_leaves_no_waiting_task() -> None:
    connection = Connection()
    for _ in range(3):
        is_disconnected(connection.receive)
    assert not connection.closed._waiters


async def test_a_later_receive_still_gets_the_disconnect() -> None:
    connection = Connection()
    waiting = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    assert not is_disconnected(connection.receive)
    connection.closed.set()
    assert (await waiting)["type"] == "http.disconnect"
