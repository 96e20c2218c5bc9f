"""Parses a MIME message into the fields of Mailpit's API."""

import html
import re
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import AddressHeader, DateHeader
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from functools import cached_property

SNIPPET_CHARACTERS = 250

Json = dict[str, str | int]


@dataclass(frozen=True)
class Part:
    """A leaf of the MIME tree that is not a body. Ids count the leaves from 1."""

    id: str
    file_name: str
    content_type: str
    content_id: str
    content: bytes
    inline: bool

    def as_json(self) -> Json:
        """The part in the API's format."""
        return {
            "PartID": self.id,
            "FileName": self.file_name,
            "ContentType": self.content_type,
            "ContentID": self.content_id,
            "Size": len(self.content),
        }


class ParsedMessage:
    """A message. Malformed parts are read as far as possible; parsing raises no error."""

    def __init__(self, raw: bytes) -> None:
        self._message = BytesParser(EmailMessage, policy=policy.default).parsebytes(raw)

    def header(self, name: str) -> str:
        """The first value of a header; "" without one."""
        return str(self._message.get(name, ""))

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """Every header's values, in order."""
        found: dict[str, list[str]] = {}
        for name, value in self._message.items():
            found.setdefault(name, []).append(str(value))
        return found

    @property
    def message_id(self) -> str:
        """The Message-ID without its brackets."""
        return self.header("Message-ID").strip().strip("<>")

    @property
    def date(self) -> datetime | None:
        """The time in the Date header."""
        header = self._message.get("Date")
        return header.datetime if isinstance(header, DateHeader) else None

    def addresses(self, header: str) -> list[dict[str, str]]:
        """The mailboxes in a header, in the API's format."""
        value = self._message.get(header)
        if not isinstance(value, AddressHeader):
            return []
        return [{"Name": each.display_name, "Address": each.addr_spec} for each in value.addresses]

    @cached_property
    def text(self) -> str:
        """The plain text body."""
        return _content(self._message.get_body(("plain",)))

    @cached_property
    def html(self) -> str:
        """The HTML body."""
        return _content(self._message.get_body(("html",)))

    @property
    def snippet(self) -> str:
        """The beginning of the text, for a list."""
        text = self.text or html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", self.html))
        return " ".join(text.split())[:SNIPPET_CHARACTERS]

    @cached_property
    def parts(self) -> list[Part]:
        """Every leaf of the MIME tree but the bodies."""
        bodies = [self._message.get_body((kind,)) for kind in ("plain", "html")]
        leaves = [part for part in self._message.walk() if not part.is_multipart()]
        return [
            _part(str(number), leaf)
            for number, leaf in enumerate(leaves, start=1)
            if not any(leaf is body for body in bodies)
        ]

    @property
    def attachments(self) -> list[Part]:
        """Parts that the reader can save."""
        return [part for part in self.parts if not part.inline]

    @property
    def inline(self) -> list[Part]:
        """Parts that the HTML body shows."""
        return [part for part in self.parts if part.inline]


def _content(part: MIMEPart | None) -> str:
    payload = part.get_payload(decode=True) if part else None
    if part is None or not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:  # an unknown charset
        return payload.decode(errors="replace")


def _part(number: str, leaf: MIMEPart) -> Part:
    payload = leaf.get_payload(decode=True)
    content_id = str(leaf.get("Content-ID", "")).strip().strip("<>")
    return Part(
        id=number,
        file_name=leaf.get_filename() or f"part-{number}",
        content_type=leaf.get_content_type(),
        content_id=content_id,
        content=payload if isinstance(payload, bytes) else b"",
        inline=leaf.get_content_disposition() == "inline" and bool(content_id),
    )
