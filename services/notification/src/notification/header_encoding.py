"""Writes e-mail headers: RFC 5322 lines, RFC 2047 encoded words, RFC 2231 parameters.

The standard library's folding drops a space between encoded words and makes words that are too
long, differently in each version of Python. Here a text that is not plain is encoded as a whole,
so that every decoder gets it back exactly.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from email.headerregistry import Address
from urllib.parse import quote

MAX_LINE_LENGTH = 78
"""Characters of a line, without CRLF, that should not be exceeded (RFC 5322, section 2.1.1)."""
LONGEST_LINE = 998
"""Characters of a line, without CRLF, that must not be exceeded (RFC 5322, section 2.1.1)."""
MAX_ENCODED_LINE_LENGTH = 76
"""Longest line with an encoded word (RFC 2047, section 2)."""

_WORD_START, _WORD_END = "=?utf-8?b?", "?="
# Longest encoded word: 75 characters (RFC 2047, section 2). Base64 has 4 for 3 octets.
_WORD_OCTETS = (75 - len(_WORD_START) - len(_WORD_END)) // 4 * 3
# RFC 5322, section 3.2.3: atoms need no quotes.
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN = re.compile(r"[!-~]+( [!-~]+)*")
# Control characters, line and paragraph separators, and surrogates, which UTF-8 cannot express.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FOLD = "\r\n "
_SECTION_LENGTH = 50


def text_header(name: str, text: str) -> str:
    """Return a header with unstructured text, such as Subject, with its line end.

    Control characters and line separators become spaces; any other text is decoded unchanged.
    """
    text = _without_breaks(text)
    line = f"{name}: {text}"
    if not text or (_is_plain(text) and len(line) <= MAX_LINE_LENGTH):
        return f"{line}\r\n"
    return f"{name}: {_encoded_words(text, len(name) + 2)}\r\n"


def mailbox_header(name: str, mailbox: Address) -> str:
    """Return a header with exactly one mailbox, such as To, with its line end.

    The display name is treated as the text of `text_header`. An address that is not ASCII is
    written in UTF-8 (RFC 6532).

    Raises:
        ValueError: the address contains a character that could end the header.
    """
    address = f"<{mailbox.addr_spec}>"
    if _FORBIDDEN.search(address):
        raise ValueError("the address contains a control character")
    display_name = _without_breaks(mailbox.display_name)
    if not display_name:
        return f"{name}: {mailbox.addr_spec}\r\n"
    phrase = _phrase(display_name, len(name) + 2)
    last_line = f"{name}: {phrase}".rpartition("\r\n")[2]
    limit = MAX_ENCODED_LINE_LENGTH if _WORD_START in last_line else MAX_LINE_LENGTH
    separator = " " if len(last_line) + 1 + len(address) <= limit else _FOLD
    return f"{name}: {phrase}{separator}{address}\r\n"


def ascii_header(name: str, value: str) -> str:
    """Return a header whose value needs no encoding, such as Message-ID, with its line end.

    Raises:
        ValueError: the value is not one line of printable ASCII that fits.
    """
    if not (_PLAIN.fullmatch(value) and len(name) + 2 + len(value) <= LONGEST_LINE):
        raise ValueError(f"{name} is not one line of ASCII")
    return f"{name}: {value}\r\n"


def parameter(name: str, value: str) -> str:
    """Return a parameter of a MIME header, such as a file name, in one or more sections.

    Other characters than ASCII are written as RFC 2231 defines, and as every reader of RFC 5987
    understands while the value is short.
    """
    value = _without_breaks(value)
    if value.isascii() and len(value) <= _SECTION_LENGTH:
        return f'{name}="{_quoted(value)}"'
    sections = _percent_sections(value)
    if len(sections) == 1:
        return f"{name}*=utf-8''{sections[0]}"
    return f";{_FOLD}".join(
        f"{name}*{number}*={section}"
        for number, section in enumerate([f"utf-8''{sections[0]}", *sections[1:]])
    )


def _is_plain(text: str) -> bool:
    """Whether every reader takes the text literally; "=?" could begin an encoded word."""
    return bool(_PLAIN.fullmatch(text)) and "=?" not in text


def _phrase(text: str, offset: int) -> str:
    if _is_plain(text) and offset + len(text) + 2 <= MAX_LINE_LENGTH:
        if _ATOMS.fullmatch(text):
            return text
        quoted = f'"{_quoted(text)}"'
        if offset + len(quoted) <= MAX_LINE_LENGTH:
            return quoted
    return _encoded_words(text, offset)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _encoded_words(text: str, offset: int) -> str:
    """Return the text as encoded words, one per line; readers drop the blanks between them.

    `offset` is the number of characters before the first word on its line.
    """
    overhead = len(_WORD_START) + len(_WORD_END)
    first = (MAX_ENCODED_LINE_LENGTH - offset - overhead) // 4 * 3
    return _FOLD.join(
        f"{_WORD_START}{base64.b64encode(part).decode()}{_WORD_END}"
        for part in _split(text, min(first, _WORD_OCTETS), _WORD_OCTETS)
    )


def _split(text: str, first: int, following: int) -> Iterator[bytes]:
    """Split into parts of at most so many octets, never within a character (RFC 2047, 5)."""
    part, limit = b"", first
    for character in text:
        octets = character.encode()
        if len(part) + len(octets) > limit:
            yield part
            part, limit = b"", following
        part += octets
    yield part


def _percent_sections(value: str) -> Sequence[str]:
    sections = [""]
    for character in value:
        encoded = quote(character, safe="")
        if len(sections[-1]) + len(encoded) > _SECTION_LENGTH:
            sections.append("")
        sections[-1] += encoded
    return sections


def _without_breaks(text: str) -> str:
    return _FORBIDDEN.sub(" ", text)
