"""Builds MIME messages (RFC 2045, RFC 2046).

All parts are in base64. The classes of `email` would fold and encode the headers again, and take
as much CPU time per e-mail as a PDF.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address

from notification.header_encoding import ascii_header, mailbox_header, parameter, text_header


@dataclass(frozen=True)
class Attachment:
    """A file. `content_type` may have parameters; the file name may have any characters."""

    file_name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Headers:
    """The headers of an e-mail. Subject and display names may have any characters."""

    sender: Address
    recipient: Address
    subject: str
    others: tuple[tuple[str, str], ...] = ()
    """Further names and values, in ASCII."""
    reply_to: Address | None = None


def build_message(
    headers: Headers, text: str, html: str, attachments: Sequence[Attachment]
) -> bytes:
    """Return the message, with CRLF line ends.

    Only an address that is not ASCII makes a header in UTF-8 (RFC 6532).

    Raises:
        ValueError: an address or another header contains a line break.
    """
    body = _multipart(
        "alternative",
        [
            _part('text/plain; charset="utf-8"', text.encode(errors="replace")),
            _part('text/html; charset="utf-8"', html.encode(errors="replace")),
        ],
    )
    if attachments:
        body = _multipart("mixed", [body, *map(_file_part, attachments)])
    return f"{_header_block(headers)}MIME-Version: 1.0\r\n".encode() + body


def _header_block(headers: Headers) -> str:
    lines = [
        mailbox_header("From", headers.sender),
        mailbox_header("To", headers.recipient),
        text_header("Subject", headers.subject),
    ]
    if headers.reply_to is not None:
        lines.append(mailbox_header("Reply-To", headers.reply_to))
    lines += [ascii_header(name, value) for name, value in headers.others]
    return "".join(lines)


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    """Return an entity of several parts.

    Base64 never contains the "=_" of the boundary (RFC 2045, section 6.8).
    """
    boundary = f"=_{subtype}"
    head = ascii_header("Content-Type", f'multipart/{subtype}; boundary="{boundary}"')
    delimiter = f"\r\n--{boundary}\r\n".encode()
    body = b"".join(delimiter + part for part in parts)
    return head.encode() + body + f"\r\n--{boundary}--\r\n".encode()


def _file_part(attachment: Attachment) -> bytes:
    file_name = parameter("filename", attachment.file_name)
    disposition = f"Content-Disposition: attachment;\r\n {file_name}\r\n"
    return _part(attachment.content_type, attachment.content, disposition)


def _part(content_type: str, content: bytes, header: str = "") -> bytes:
    """Return an entity in base64, with a further header."""
    head = ascii_header("Content-Type", content_type)
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    return f"{head}{header}Content-Transfer-Encoding: base64\r\n\r\n".encode() + encoded
