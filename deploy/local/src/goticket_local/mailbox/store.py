"""The received e-mails, in memory, limited in number and bytes."""

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any

from goticket_local.mailbox.message import ParsedMessage

MAX_MESSAGES = 20_000
MAX_BYTES = 512 * 1024 * 1024


@dataclass
class Mail:
    """A received e-mail. It is parsed when the API needs its content, not during SMTP."""

    raw: bytes
    sender: str
    recipients: tuple[str, ...]
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    read: bool = False
    # Mailpit's ids have 22 characters too.
    id: str = field(default_factory=lambda: secrets.token_hex(11))

    @cached_property
    def parsed(self) -> ParsedMessage:
        """The content."""
        return ParsedMessage(self.raw)

    def summary(self) -> dict[str, Any]:
        """The entry of a list, in the API's format."""
        return self._envelope | {
            "Created": self.received_at.isoformat().replace("+00:00", "Z"),
            "Read": self.read,
            "Attachments": len(self.parsed.attachments),
            "Snippet": self.parsed.snippet,
        }

    def details(self) -> dict[str, Any]:
        """The complete content, in the API's format."""
        parsed = self.parsed
        return self._envelope | {
            "ReturnPath": self.sender,
            "Date": (parsed.date or self.received_at).isoformat(),
            "Text": parsed.text,
            "HTML": parsed.html,
            "Attachments": [part.as_json() for part in parsed.attachments],
            "Inline": [part.as_json() for part in parsed.inline],
        }

    @cached_property
    def searchable(self) -> str:
        """The text that a search term without a field is compared with, case-folded."""
        parsed = self.parsed
        parts = [parsed.header("Subject"), parsed.header("From"), *self.recipients]
        return "\n".join([*parts, parsed.text, parsed.html]).casefold()

    @cached_property
    def _envelope(self) -> dict[str, Any]:
        parsed = self.parsed
        to, cc = parsed.addresses("To"), parsed.addresses("Cc")
        named = {each["Address"].casefold() for each in (*to, *cc)}
        return {
            "ID": self.id,
            "MessageID": parsed.message_id,
            "From": next(iter(parsed.addresses("From")), {"Name": "", "Address": ""}),
            "To": to,
            "Cc": cc,
            "Bcc": [
                {"Name": "", "Address": each}
                for each in self.recipients
                if each.casefold() not in named
            ],
            "ReplyTo": parsed.addresses("Reply-To"),
            "Subject": parsed.header("Subject"),
            "Tags": [],
            "Size": len(self.raw),
        }


class MailStore:
    """The newest e-mails first. The oldest are deleted when a limit is exceeded."""

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._mails: OrderedDict[str, Mail] = OrderedDict()
        self._bytes = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._mails)

    def __iter__(self) -> Iterator[Mail]:
        return reversed(self._mails.values())

    @property
    def unread(self) -> int:
        """The number of e-mails that were not opened."""
        return sum(not mail.read for mail in self._mails.values())

    def add(self, mail: Mail) -> None:
        """Store an e-mail."""
        self._mails[mail.id] = mail
        self._bytes += len(mail.raw)
        while len(self._mails) > self._max_messages or (
            self._bytes > self._max_bytes and len(self._mails) > 1
        ):
            self.delete([next(iter(self._mails))])

    def get(self, mail_id: str) -> Mail | None:
        """One e-mail; "latest" is the newest."""
        if mail_id == "latest":
            return next(iter(self), None)
        return self._mails.get(mail_id)

    def page(self, start: int, limit: int) -> list[Mail]:
        """At most `limit` e-mails, newest first."""
        return list(islice(self, start, start + limit))

    def search(self, query: str) -> list[Mail]:
        """The e-mails that match each term of a query: `to:ann@example.com "two tickets"`."""
        terms = [_matcher(text) for text in _terms(query)]
        return [mail for mail in self if all(matches(mail) for matches in terms)]

    def delete(self, mail_ids: Sequence[str]) -> None:
        """Delete these e-mails; all without ids."""
        for mail_id in mail_ids or list(self._mails):
            mail = self._mails.pop(mail_id, None)
            if mail is not None:
                self._bytes -= len(mail.raw)


FIELDS: dict[str, Callable[[Mail], str]] = {
    "to": lambda mail: "\n".join(mail.recipients),
    "from": lambda mail: mail.parsed.header("From"),
    "subject": lambda mail: mail.parsed.header("Subject"),
    "message-id": lambda mail: mail.parsed.message_id,
    "is": lambda mail: "\nread\n" if mail.read else "\nunread\n",
    "has": lambda mail: "attachments" if mail.parsed.attachments else "",
}
"""The text that a term `field:value` is compared with."""


def _terms(query: str) -> list[str]:
    """Split a query at spaces outside double quotes; remove the quotes."""
    return [term.replace('"', "") for term in re.findall(r'(?:[^\s"]|"[^"]*"?)+', query)]


def _matcher(term: str) -> Callable[[Mail], bool]:
    """A predicate for one term of a query."""
    name, colon, value = term.casefold().partition(":")
    if not (colon and name in FIELDS):
        return lambda mail: term.casefold() in mail.searchable
    if name == "is":
        value = f"\n{value}\n"  # "read" is a part of "unread"
    return lambda mail: value in FIELDS[name](mail).casefold()
