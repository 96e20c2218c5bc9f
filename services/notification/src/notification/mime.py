"""Messages on the wire: RFC 5322 headers, RFC 2045 parts.

`EmailMessage` makes the same, but parses every header it is given and folds every line
anew, which takes longer than drawing the tickets. So the library is asked only about what
people have written into a header; our own headers, and bodies, are short and known.
"""

import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Iterable
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import TypeAlias

Policy: TypeAlias = "EmailPolicy[EmailMessage]"

# Needs neither encoding nor quotes nor a second line, so that the library would not change it.
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9]+( [A-Za-z0-9]+)*")
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9:]+( [A-Za-z0-9:]+)*")
_LONGEST_LINE = 78


def address(name: str, mailbox: Address, policy: Policy) -> bytes:
    """Return a header with one mailbox."""
    plain = _PLAIN_WORDS.fullmatch(mailbox.display_name)
    line = f"{name}: {mailbox}"
    if plain and mailbox.addr_spec.isascii() and len(line) <= _LONGEST_LINE:
        return line.encode() + b"\r\n"
    return _folded(name, mailbox, policy)


def text(name: str, value: str, policy: Policy) -> bytes:
    """Return a header with a text of any characters, on one line or several."""
    line = f"{name}: {value}"
    if _PLAIN_TEXT.fullmatch(value) and len(line) <= _LONGEST_LINE:
        return line.encode() + b"\r\n"
    return _folded(name, value, policy)


def _folded(name: str, value: str | Address, policy: Policy) -> bytes:
    folded: bytes = policy.fold_binary(name, policy.header_factory(name, value))
    return folded


def known(name: str, value: str) -> bytes:
    """Return a header whose value we wrote: ASCII, one line."""
    return f"{name}: {value}\r\n".encode("ascii")


def text_part(subtype: str, content: str) -> bytes:
    """Return a text that people read."""
    lines = content.replace("\n", "\r\n").encode()
    kind = known("Content-Type", f'text/{subtype}; charset="utf-8"')
    encoding = known("Content-Transfer-Encoding", "quoted-printable")
    return b"%b%b\r\n%b" % (kind, encoding, b2a_qp(lines))


def file_part(content_type: str, file_name: str, content: bytes) -> bytes:
    """Return an attachment; its name is ours, plain ASCII."""
    headers = (
        known("Content-Type", content_type),
        known("Content-Transfer-Encoding", "base64"),
        known("Content-Disposition", f'attachment; filename="{file_name}"'),
    )
    lines = encodebytes(content).replace(b"\n", b"\r\n")
    return b"%b\r\n%b" % (b"".join(headers), lines)


def alternative(*parts: bytes) -> bytes:
    """Return one content in several forms, the best one last."""
    return _multipart("alternative", parts)


def mixed(*parts: bytes) -> bytes:
    """Return a content and what is attached to it."""
    return _multipart("mixed", parts)


def message(headers: Iterable[bytes], body: bytes) -> bytes:
    """Return the whole message."""
    return b"%b%b%b" % (b"".join(headers), known("MIME-Version", "1.0"), body)


def _multipart(subtype: str, parts: Iterable[bytes]) -> bytes:
    # Neither base64 nor quoted-printable has "=_" in it (RFC 2045, section 6.7).
    boundary = f"=_{subtype}"
    line = f"--{boundary}\r\n".encode()
    content = b"".join(b"%b%b\r\n" % (line, part) for part in parts)
    kind = known("Content-Type", f'multipart/{subtype}; boundary="{boundary}"')
    return b"%b\r\n%b--%b--\r\n" % (kind, content, boundary.encode())
