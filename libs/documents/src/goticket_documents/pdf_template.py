"""All of a PDF document but what is on its one page, to be put around page after page.

The library writes its objects anew for every document, which takes longer than drawing
what is different on a ticket. Here one document is taken apart, and others are made of its
objects: the page's content, behind it the others, and where each begins (ISO 32000-1:2008,
sections 7.3.8 and 7.5).
"""

import hashlib
import re
import zlib

_CONTENT = re.compile(
    rb"(?P<number>\d+) 0 obj\n<<\n/Filter /FlateDecode\n/Length (?P<length>\d+)\n>>\nstream\n"
)
_HEAD = b"%b 0 obj\n<<\n/Filter /FlateDecode\n/Length %d\n>>\nstream\n"
_CONTENT_END = b"\nendstream\nendobj\n"
_XREF = re.compile(
    rb"xref\n0 (?P<size>\d+)\n(?P<entries>(?:\d{10} \d{5} [nf] \n)+)(?P<trailer>.*)", re.DOTALL
)
_ENTRY = 20
_ID = re.compile(rb"/ID \[<[0-9A-F]{32}><[0-9A-F]{32}>\]")
_START = re.compile(rb"startxref\n\d+\n")


class NotOnePage(ValueError):
    """The document is not of the form that one page without embedded fonts has."""


class Envelope:
    """Takes apart a document with one stream, its page's content.

    Raises:
        NotOnePage: it has none or several, or is not written as expected.
    """

    def __init__(self, document: bytes) -> None:
        streams = list(_CONTENT.finditer(document))
        if len(streams) != 1 or document.count(_CONTENT_END) != 1:
            raise NotOnePage
        stream = streams[0]
        end = stream.end() + int(stream["length"]) + len(_CONTENT_END)
        xref = _XREF.search(document, end)
        if document[end - len(_CONTENT_END) : end] != _CONTENT_END or xref is None:
            raise NotOnePage
        entries = xref["entries"]
        self._number = stream["number"]
        self._before = document[: stream.start()]
        self._behind = document[end : xref.start()]
        self._behind_was_at = end
        self._xref_head = b"xref\n0 %b\n" % xref["size"]
        self._entries = [entries[at : at + _ENTRY] for at in range(0, len(entries), _ENTRY)]
        self._before_id, rest = _ID.split(xref["trailer"], maxsplit=1)
        self._behind_id, self._last = _START.split(rest, maxsplit=1)

    def around(self, content: bytes) -> bytes:
        """Return the document with this content on its page."""
        packed = zlib.compress(content)
        page = _HEAD % (self._number, len(packed)) + packed + _CONTENT_END
        moved = len(self._before) + len(page) - self._behind_was_at
        entries = b"".join(self._moved(entry, moved) for entry in self._entries)
        body = self._before + page + self._behind
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest().upper().encode()
        id_ = b"/ID [<%b><%b>]" % (digest, digest)
        start = b"startxref\n%d\n" % len(body)
        parts = (body, self._xref_head, entries, self._before_id, id_, self._behind_id, start)
        return b"".join(parts) + self._last

    def _moved(self, entry: bytes, by: int) -> bytes:
        start = int(entry[:10])
        return b"%010d%b" % (start + by, entry[10:]) if start >= self._behind_was_at else entry
