"""Received bytes that wait for the parser, and the places where one request ends."""

MAX_PART_BYTES = 65_536
"""Bytes that the parser gets at once."""

END = b"\r\n\r\n"
"""A head and a chunked body end with an empty line."""


class ReceivedBytes:
    """The bytes of the last read; the parser gets them in parts.

    A part ends with the head or the body that arrives, or before. So the parser never gets the
    end of one request together with the begin of the next.
    """

    __slots__ = ("_bytes", "_seen", "left")

    def __init__(self) -> None:
        self._bytes = b""
        self.left = 0
        """Bytes that wait, at the end of those of the last read."""
        self._seen = b""
        """Last bytes of an incomplete part: its end may be split between two reads."""

    def add(self, data: bytes) -> None:
        """Add what was read. Reading is paused while bytes wait, so few are ever joined."""
        self._bytes = self._bytes[-self.left :] + data if self.left else data
        self.left = len(self._bytes)

    def clear(self) -> None:
        """Release the memory."""
        self._bytes = b""
        self.left = 0

    def part_of_body(self, length: int) -> bytes:
        """Return the next part of a body that has `length` bytes more."""
        return self._take(min(length, self.left, MAX_PART_BYTES))

    def part_to_empty_line(self) -> bytes:
        """Return the next part of a head or of a chunked body."""
        start = len(self._bytes) - self.left
        before, self._seen = self._seen, b""
        if before:
            across = (before + self._bytes[start : start + len(END) - 1]).find(END)
            if across >= 0:
                return self._take(across + len(END) - len(before))
        found = self._bytes.find(END, start, start + MAX_PART_BYTES)
        if found >= 0:
            return self._take(found + len(END) - start)
        part = self._take(min(self.left, MAX_PART_BYTES))
        self._seen = (before + part[-len(END) + 1 :])[-len(END) + 1 :]
        return part

    def _take(self, count: int) -> bytes:
        start = len(self._bytes) - self.left
        self.left -= count
        return self._bytes if count == len(self._bytes) else self._bytes[start : start + count]
