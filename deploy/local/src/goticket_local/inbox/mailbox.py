"""The mails kept in memory, newest first, bounded in number and bytes."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any

from goticket_local.inbox.message import ParsedMessage

MAX_MESSAGES = 20_000
MAX_BYTES = 512 * 1024 * 1024


@dataclass
class Mail:
    """A received mail. It is parsed when somebody looks at it, not while SMTP waits."""

    raw: bytes
    sender: str
    recipients: tuple[str, ...]
    received_at: datetime
    read: bool = False
    # Mailpit's ids are 22 characters of the same kind.
    id: str = field(default_factory=lambda: secrets.token_hex(11))

    @cached_property
    def parsed(self) -> ParsedMessage:
        """What the bytes say."""
        return ParsedMessage(self.raw, self.recipients)

    def summary(self) -> dict[str, Any]:
        """What a list shows, in the API's words."""
        return self._summary | {"Read": self.read}

    def details(self) -> dict[str, Any]:
        """All that is in it, in the API's words."""
        parsed = self.parsed
        return self._people | {
            "ReturnPath": self.sender,
            "Date": (parsed.date or self.received_at).isoformat(),
            "Text": parsed.text,
            "HTML": parsed.html,
            "Attachments": [part.as_json() for part in parsed.attachments],
            "Inline": [part.as_json() for part in parsed.inline],
        }

    @cached_property
    def _people(self) -> dict[str, Any]:
        parsed = self.parsed
        return {
            "ID": self.id,
            "MessageID": parsed.message_id,
            "From": parsed.sender.as_json(),
            "To": [each.as_json() for each in parsed.addresses("To")],
            "Cc": [each.as_json() for each in parsed.addresses("Cc")],
            "Bcc": [each.as_json() for each in parsed.blind_recipients],
            "ReplyTo": [each.as_json() for each in parsed.addresses("Reply-To")],
            "Subject": parsed.subject,
            "Tags": [],
            "Size": len(self.raw),
        }

    @cached_property
    def _summary(self) -> dict[str, Any]:
        return self._people | {
            "Created": self.received_at.isoformat().replace("+00:00", "Z"),
            "Attachments": len(self.parsed.attachments),
            "Snippet": self.parsed.snippet,
        }


class Mailbox:
    """Newest mail first; the oldest leave when there are too many."""

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
        """How many nobody has opened."""
        return sum(not mail.read for mail in self._mails.values())

    def add(self, mail: Mail) -> None:
        """Keep a mail, forgetting the oldest where there is no room."""
        self._mails[mail.id] = mail
        self._bytes += len(mail.raw)
        while len(self._mails) > self._max_messages or (
            self._bytes > self._max_bytes and len(self._mails) > 1
        ):
            _, oldest = self._mails.popitem(last=False)
            self._bytes -= len(oldest.raw)

    def get(self, mail_id: str) -> Mail | None:
        """One mail; "latest" is the newest."""
        if mail_id == "latest":
            return next(iter(self), None)
        return self._mails.get(mail_id)

    def page(self, start: int, limit: int) -> list[Mail]:
        """Some mails, newest first."""
        return list(islice(self, start, start + limit))

    def search(self, query: str) -> list[Mail]:
        """The mails that match every term of a query such as `to:ann@example.com "two tickets"`."""
        terms = [_term(text) for text in _split(query)]
        return [mail for mail in self if all(term(mail) for term in terms)]

    def delete(self, mail_ids: Sequence[str]) -> None:
        """Forget these mails, or all when none is named."""
        for mail_id in mail_ids or list(self._mails):
            mail = self._mails.pop(mail_id, None)
            if mail is not None:
                self._bytes -= len(mail.raw)


def _split(query: str) -> list[str]:
    """Words of a query; double quotes keep words together."""
    terms, word, quoted = [], "", False
    for character in query:
        if character == '"':
            quoted = not quoted
        elif character.isspace() and not quoted:
            terms.append(word)
            word = ""
        else:
            word += character
    return [term for term in [*terms, word] if term]


# What `field:value` looks into.
FIELDS: dict[str, Callable[[Mail], str]] = {
    "to": lambda mail: "\n".join(mail.recipients),
    "from": lambda mail: str(mail.parsed.sender),
    "subject": lambda mail: mail.parsed.subject,
    "message-id": lambda mail: mail.parsed.message_id,
    "is": lambda mail: "read" if mail.read else "unread",
    "has": lambda mail: "attachments" if mail.parsed.attachments else "",
}


def _term(text: str) -> Callable[[Mail], bool]:
    """What one term of a query asks of a mail."""
    name, colon, value = text.casefold().partition(":")
    if not (colon and name in FIELDS):
        return lambda mail: text.casefold() in mail.parsed.searchable
    look = FIELDS[name]
    if name == "is":
        return lambda mail: look(mail) == value
    return lambda mail: value in look(mail).casefold()
