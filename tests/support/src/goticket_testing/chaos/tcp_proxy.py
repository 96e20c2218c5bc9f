"""A TCP proxy between two processes that can add delay, drop and refuse connections."""

import asyncio
import contextlib
import threading

HOST = "127.0.0.1"
CHUNK_BYTES = 65536


class TcpProxy:
    """Forwards connections from one local port to another.

    It runs in its own thread, so that a busy test does not slow it down.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self.delay = 0.0
        """Seconds that every chunk is delayed, in either direction."""
        self.refusing = False
        """Whether new connections are closed at once."""
        self.refused = 0
        """Number of connections that were closed because of `refusing`."""
        self._target_port = target_port
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tcp-proxy-{port}", daemon=True)

    def start(self) -> None:
        """Listen. Raises `TimeoutError`."""
        self._thread.start()
        if not self._listening.wait(10):
            raise TimeoutError("the proxy does not listen")

    def stop(self) -> None:
        """Close every connection and stop; does nothing if it was never started."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(10)

    def reset(self) -> None:
        """Forward without delay and accept connections again."""
        self.delay = 0
        self.refusing = False

    def drop_connections(self) -> None:
        """Abort every open connection."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def _abort_all(self) -> None:
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
        self._abort_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            self.refused += 1
            writer.transport.abort()
            return
        try:
            target_reader, target_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, target_writer}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forward(reader, target_writer))
                tasks.create_task(self._forward(target_reader, writer))
        except* OSError:
            pass
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self.delay:
                await asyncio.sleep(self.delay)
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
