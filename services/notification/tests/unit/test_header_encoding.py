"""Headers, read by two independent decoders: one of the standard library and one written here."""

import base64
import binascii
import re
from email import message_from_bytes, policy
from email.header import decode_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import getaddresses
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from notification.header_encoding import ascii_header, mailbox_header, parameter, text_header

# RFC 2047, section 2: charset, encoding and text of an encoded word.
ENCODED_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?\s]*)\?=")
SEPARATORS = "\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x7f"
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300)
HOSTILE = st.text(max_size=200) | st.text(st.sampled_from(SEPARATORS + 'a:<>,;@" =?é'))
EXAMPLES = [
    "",
    " ",
    " leading and trailing ",
    "two  spaces",
    "Winter Open Air 2027 in der alten F Überraschungsgäste",
    "=?utf-8?q?typed?=",
    "a =?utf-8?b?w6k=?= b",
    "Bank <security@bank.example>, Police <police@state.example>",
    "a, b; c: d@e.example",
    'quote " and \\ backslash',
    "(comment)",
    "A. B",
    "word" * 100,
    "a " * 300,
    "\N{FAMILY}\N{EMOJI MODIFIER FITZPATRICK TYPE-6}" * 40,
    "é" * 300,
    "e\u0301" * 100,
]


def unfolded(header: str) -> str:
    """Remove the line breaks of folding (RFC 5322, section 2.2.3)."""
    assert header.endswith("\r\n")
    return header[:-2].replace("\r\n", "")


def decoded_by_rfc_2047(text: str) -> str:
    """Decode by the rules of RFC 2047, section 6; blanks between encoded words are dropped."""
    text = re.sub(r"(\?=)[ \t]+(?==\?)", r"\1", text)

    def decode(word: re.Match[str]) -> str:
        charset, encoding, content = word.groups()
        assert encoding.lower() == "b"
        return base64.b64decode(content, validate=True).decode(charset)

    return ENCODED_WORD.sub(decode, text)


def decoded_by_the_library(text: str) -> str:
    return "".join(
        part.decode(charset or "ascii") if isinstance(part, bytes) else part
        for part, charset in decode_header(text)
    )


def check_form(header: str) -> None:
    """Check the lengths of lines and words, and that there is one header."""
    assert header.isascii()
    lines = header[:-2].split("\r\n")
    assert all(line.startswith(" ") and line.strip() for line in lines[1:]), "one header"
    assert not any(separator in line for line in lines for separator in SEPARATORS)
    for line in lines:
        assert len(line) <= (76 if ENCODED_WORD.search(line) else 78), "RFC 5322, RFC 2047"
    for word in ENCODED_WORD.finditer(header):
        assert len(word[0]) <= 75, "RFC 2047, section 2"
        assert word[3], "an encoded word is not empty"
        binascii.a2b_base64(word[3], strict_mode=True).decode()  # whole characters: section 5


@given(text=TEXTS)
def test_any_subject_is_decoded_unchanged(text: str) -> None:
    header = text_header("Subject", text)

    check_form(header)
    value = unfolded(header).removeprefix("Subject: ")
    assert decoded_by_rfc_2047(value) == text
    assert decoded_by_the_library(value) == text


@pytest.mark.parametrize("text", EXAMPLES)
def test_known_faults_of_encoders_do_not_occur(text: str) -> None:
    for name in ("Subject", "X-A-Header-With-A-Very-Long-Name"):
        header = text_header(name, text)
        check_form(header)
        assert decoded_by_rfc_2047(unfolded(header).removeprefix(f"{name}: ")) == text


@pytest.mark.parametrize("header_name", ["From", "To", "Reply-To"])
@given(name=TEXTS)
@example(name="Bank <security@bank.example>, Police <police@state.example>")
@example(name="=?utf-8?q?typed?=")
def test_any_display_name_is_decoded_unchanged_and_names_one_mailbox(
    header_name: str, name: str
) -> None:
    header = mailbox_header(header_name, Address(name, "ada", "buyers.example"))

    check_form(header)
    value = unfolded(header).removeprefix(f"{header_name}: ")
    [(phrase, address)] = getaddresses([value])
    assert address == "ada@buyers.example"
    assert decoded_by_rfc_2047(phrase) == decoded_by_the_library(phrase) == name
    assert len(library_mailboxes(header_name, header)) == 1


def library_mailboxes(name: str, header: str) -> list[str]:
    message = message_from_bytes(header.encode() + b"\r\n", policy=policy.default)
    assert isinstance(message, EmailMessage)
    return [each.addr_spec for each in message[name].addresses]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_one_mailbox(name: str) -> None:
    header = mailbox_header("To", Address(name, "ada", "buyers.example"))

    check_form(header)
    assert library_mailboxes("To", header) == ["ada@buyers.example"]
    [(phrase, _)] = getaddresses([unfolded(header).removeprefix("To: ")])
    assert decoded_by_rfc_2047(phrase) == name


def test_a_long_address_gets_its_own_line() -> None:
    header = mailbox_header("To", Address("Ada Lovelace", "a" * 64, "b" * 60 + ".example"))

    assert header.split("\r\n")[0] == "To: Ada Lovelace"
    assert len(library_mailboxes("To", header)) == 1


@given(text=HOSTILE)
def test_no_text_can_start_another_header(text: str) -> None:
    subject = text_header("Subject", text)
    check_form(subject)
    try:
        address = Address(text, "ada", "buyers.example")
    except ValueError:  # the library itself rejects line breaks
        return
    check_form(mailbox_header("To", address))


@pytest.mark.parametrize("separator", SEPARATORS)
def test_separators_become_spaces(separator: str) -> None:
    value = unfolded(text_header("Subject", f"a{separator}Bcc: eve@evil.example é"))

    assert decoded_by_rfc_2047(value) == "Subject: a Bcc: eve@evil.example é"


@pytest.mark.parametrize("value", ["<a\r\nBcc: e@e.example>", "", "é", "a\x00", "x" * 1000])
def test_other_headers_are_one_line_of_ascii(value: str) -> None:
    with pytest.raises(ValueError, match="one line of ASCII"):
        ascii_header("Message-ID", value)


@given(name=TEXTS)
@example(name="Überraschung " * 20 + ".pdf")
@example(name='a"b\\c.pdf')
def test_any_file_name_is_decoded_unchanged(name: str) -> None:
    """RFC 2231, sections 3 and 4, read by the rules of the RFC and by the library."""
    text = parameter("filename", name)
    assert all(len(line) <= 78 for line in text.split("\r\n"))
    assert text.isascii()

    if text.startswith('filename="'):
        quoted = re.fullmatch(r'filename="((?:[^"\\]|\\.)*)"', text)
        assert quoted is not None
        assert re.sub(r"\\(.)", r"\1", quoted[1]) == name
    else:
        sections = re.findall(r"filename(?:\*\d+)?\*=([^;\r\n]*)", text)
        joined = "".join(sections)
        assert joined.startswith("utf-8''")
        assert unquote_to_bytes(joined.removeprefix("utf-8''")).decode() == name
        header = f"Content-Disposition: attachment;\r\n {text}\r\n\r\n"
        file_name = message_from_bytes(header.encode()).get_filename()
        assert file_name == name.strip(), "the library strips the name"
