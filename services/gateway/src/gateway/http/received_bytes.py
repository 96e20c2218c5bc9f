"""Received bytes that wait for the parser, and the places where one request ends."""

MAX_PART_BYTES = 65_536
"""Bytes that the parser gets at once."""

_END = b"\r\n\r\n"


class ReceivedBytes:
    """The bytes of the last read; the parser gets them in parts.

    A part ends with the head or the body that arrives, or before. So the parser never gets the
    end of one request together with the begin of the next.
    """

    __slots__ = ("_bytes", "_parsed", "_seen")

    def __init__(self) -> None:
        self._bytes = b""
        self._parsed = 0
        self._seen = b""
        """Last bytes of an incomplete part: its end may be split between two reads."""

    def __bool__(self) -> bool:
        """Return whether bytes wait."""
        return self._parsed < len(self._bytes)

    def add(self, data: bytes) -> None:
        """Add what was read. Reading is paused while bytes wait, so few are ever joined."""
        self._bytes = self._bytes[self._parsed :] + data if self else data
        self._parsed = 0

    def clear(self) -> None:
        """Release the memory."""
        self._bytes = b""
        self._parsed = 0

    def part_of_body(self, left: int) -> bytes:
        """Return the next part of a body that has `left` bytes more."""
        return self._take(min(self._parsed + min(left, MAX_PART_BYTES), len(self._bytes)))

    def part_to_empty_line(self) -> bytes:
        """Return the next part of a head or of a chunked body, which end with an empty line."""
        start = self._parsed
        most = min(len(self._bytes), start + MAX_PART_BYTES)
        before, self._seen = self._seen, b""
        if before:
            across = (before + self._bytes[start : start + len(_END) - 1]).find(_END)
            if across >= 0:
                return self._take(start + across + len(_END) - len(before))
        found = self._bytes.find(_END, start, most)
        if found >= 0:
            return self._take(found + len(_END))
        part = self._take(most)
        self._seen = (before + part[-len(_END) + 1 :])[-len(_END) + 1 :]
        return part

    def _take(self, end: int) -> bytes:
        start, self._parsed = self._parsed, end
        return self._bytes if end - start == len(self._bytes) else self._bytes[start:end]
