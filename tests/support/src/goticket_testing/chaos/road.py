"""A road between two processes: a TCP proxy that can be slowed and cut."""

import asyncio
import contextlib
import threading

HOST = "127.0.0.1"
CHUNK = 65536


class Road:
    """Leads from one local port to another.

    Runs in a thread of its own, so that a busy test cannot slow it by accident.
    """

    def __init__(self, port: int, end: int) -> None:
        self.port = port
        self.delay = 0.0
        """Seconds that every chunk takes, in either direction."""
        self._leads_to = end
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"road-{port}", daemon=True)

    def start(self) -> None:
        """Open the road."""
        self._thread.start()
        if not self._listening.wait(10):
            raise TimeoutError("the road did not open")

    def stop(self) -> None:
        """Close it for good; harmless when it was never opened."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(10)

    def cut(self) -> None:
        """Drop every connection that is open now, whatever is on it."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, HOST, self.port)
        self._listening.set()
        await self._closing.wait()
        server.close()
        self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside, outside = await asyncio.open_connection(HOST, self._leads_to)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, outside}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry(reader, outside))
                tasks.create_task(self._carry(inside, writer))
        except* OSError:
            pass
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
