"""What is in a mail: addresses, bodies and attachments of a MIME message."""

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


@dataclass(frozen=True)
class Address:
    """A name and a mail address."""

    name: str
    address: str

    def as_json(self) -> dict[str, str]:
        """In the API's words."""
        return {"Name": self.name, "Address": self.address}


@dataclass(frozen=True)
class Part:
    """A leaf of the MIME tree that is not a body."""

    id: str
    file_name: str
    content_type: str
    content_id: str
    content: bytes
    inline: bool

    def as_json(self) -> dict[str, str | int]:
        """In the API's words."""
        return {
            "PartID": self.id,
            "FileName": self.file_name,
            "ContentType": self.content_type,
            "ContentID": self.content_id,
            "Size": len(self.content),
        }


class ParsedMessage:
    """A message read leniently: whatever was sent can be looked at."""

    def __init__(self, raw: bytes, recipients: tuple[str, ...]) -> None:
        self._message = BytesParser(EmailMessage, policy=policy.default).parsebytes(raw)
        self._recipients = recipients

    @property
    def subject(self) -> str:
        """The subject line."""
        return str(self._message.get("Subject", ""))

    @property
    def message_id(self) -> str:
        """The Message-ID without its brackets."""
        return str(self._message.get("Message-ID", "")).strip().strip("<>")

    @property
    def date(self) -> datetime | None:
        """When its sender says it was written."""
        header = self._message.get("Date")
        return header.datetime if isinstance(header, DateHeader) else None

    @property
    def sender(self) -> Address:
        """The first From address."""
        return next(iter(self.addresses("From")), Address("", ""))

    def addresses(self, header: str) -> list[Address]:
        """Everybody a header names."""
        value = self._message.get(header)
        if not isinstance(value, AddressHeader):
            return []
        return [Address(each.display_name, each.addr_spec) for each in value.addresses]

    @property
    def blind_recipients(self) -> list[Address]:
        """Whom the envelope names and no header does."""
        named = {each.address.casefold() for name in ("To", "Cc") for each in self.addresses(name)}
        return [Address("", each) for each in self._recipients if each.casefold() not in named]

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """Every header's values, in order."""
        found: dict[str, list[str]] = {}
        for name, value in self._message.items():
            found.setdefault(name, []).append(str(value))
        return found

    @cached_property
    def text(self) -> str:
        """The plain text body."""
        return _content(self._body("plain"))

    @cached_property
    def html(self) -> str:
        """The HTML body."""
        return _content(self._body("html"))

    @property
    def snippet(self) -> str:
        """How the mail begins, for a list."""
        text = self.text or html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", self.html))
        return " ".join(text.split())[:SNIPPET_CHARACTERS]

    @cached_property
    def parts(self) -> list[Part]:
        """Everything but the bodies. Ids count the leaves of the MIME tree from 1."""
        bodies = (self._body("plain"), self._body("html"))
        leaves = [part for part in self._message.walk() if not part.is_multipart()]
        return [
            _part(str(number), leaf)
            for number, leaf in enumerate(leaves, start=1)
            if not any(leaf is body for body in bodies)
        ]

    @property
    def attachments(self) -> list[Part]:
        """Parts to be kept by the reader."""
        return [part for part in self.parts if not part.inline]

    @property
    def inline(self) -> list[Part]:
        """Parts shown within the HTML body."""
        return [part for part in self.parts if part.inline]

    @cached_property
    def searchable(self) -> str:
        """All a plain word is looked for in, folded."""
        addresses = [str(self.sender), *self._recipients]
        return "\n".join([self.subject, *addresses, self.text, self.html]).casefold()

    def _body(self, kind: str) -> MIMEPart | None:
        return self._message.get_body((kind,))


def _content(part: MIMEPart | None) -> str:
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:  # a charset nobody knows
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
