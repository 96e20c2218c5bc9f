"""Builds MIME messages with the standard library.

It uses the classes of `email.mime`. `EmailMessage` parses each header of each part, which takes
2.5 ms more CPU time per e-mail: as much as the rest of the rendering.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email import encoders
from email.header import Header
from email.headerregistry import Address
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTPUTF8, Compat32

_MAX_LINE_LENGTH = 78


class _AsciiPolicy(Compat32):
    """Writes short ASCII headers unchanged; the library folds and encodes all others."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return the header with its line end."""
        line = f"{name}: {value}"
        if line.isascii() and line.isprintable() and len(line) <= _MAX_LINE_LENGTH:
            return f"{line}{self.linesep}".encode()
        return super().fold_binary(name, value)


_ASCII_POLICY = _AsciiPolicy(linesep="\r\n")


@dataclass(frozen=True)
class Attachment:
    """A file. `parameters` are those of its content type; texts are plain ASCII."""

    file_name: str
    content_type: str
    content: bytes
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Headers:
    """The headers of an e-mail. Subject and display names are one line of any characters."""

    sender: Address
    recipient: Address
    subject: str
    others: tuple[tuple[str, str], ...] = ()
    """Further names and values, in ASCII."""


def build_message(
    headers: Headers, text: str, html: str, attachments: Sequence[Attachment]
) -> bytes:
    """Return the message, with CRLF line ends.

    Only a recipient whose address is not ASCII makes headers in UTF-8 (RFC 6532).
    """
    message = _body(text, html)
    if attachments:
        body, message = message, _multipart("mixed")
        message.attach(body)
        for attachment in attachments:
            message.attach(_file_part(attachment))
    international = not headers.recipient.addr_spec.isascii()
    message["From"] = _mailbox("From", headers.sender, international)
    message["To"] = _mailbox("To", headers.recipient, international)
    message["Subject"] = headers.subject if international else _encoded("Subject", headers.subject)
    for name, value in headers.others:
        message[name] = value
    return message.as_bytes(policy=SMTPUTF8 if international else _ASCII_POLICY)


def _body(text: str, html: str) -> MIMEMultipart:
    body = _multipart("alternative")
    body.attach(MIMEText(text, "plain", "utf-8"))
    body.attach(MIMEText(html, "html", "utf-8"))
    return body


def _multipart(subtype: str) -> MIMEMultipart:
    # All parts are in base64, which never contains "=_" (RFC 2045, section 6.8).
    return MIMEMultipart(subtype, boundary=f"=_{subtype}")


def _file_part(attachment: Attachment) -> MIMEBase:
    part = MIMEBase(*attachment.content_type.split("/"))
    for name, value in attachment.parameters:
        part.set_param(name, value)
    part.set_payload(attachment.content)
    encoders.encode_base64(part)
    part.add_header("Content-Disposition", "attachment", filename=attachment.file_name)
    return part


def _mailbox(header: str, address: Address, international: bool) -> str:
    if international or not _needs_encoding(address.display_name):
        return str(address)
    return f"{_encoded(header, address.display_name)} <{address.addr_spec}>"


def _encoded(header: str, text: str) -> str:
    """Return the text, if need be as encoded words, folded to fit behind the header's name."""
    return Header(text, "utf-8", header_name=header).encode() if _needs_encoding(text) else text


def _needs_encoding(text: str) -> bool:
    """Whether a header needs encoded words (RFC 2047) for the text to be read unchanged."""
    return not text.isascii() or "=?" in text
