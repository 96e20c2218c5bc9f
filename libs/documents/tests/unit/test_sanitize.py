"""Untrusted text becomes one safe line."""

import unicodedata

import pytest
from goticket_documents.sanitize import sanitize_text
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Ada\r\nBcc: eve@evil.example", "Ada Bcc: eve@evil.example"),
        ("a\x00b\x1b[31mc", "a b [31mc"),
        ("one\u2028two\u2029three\x85four", "one two three four"),
        ("  much \t blank  ", "much blank"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("Zoe\u0308", "Zoë"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("", ""),
    ],
)
def test_a_text_becomes_one_line_without_control_characters(text: str, line: str) -> None:
    assert sanitize_text(text) == line


@given(st.text())
def test_no_text_keeps_a_line_break_or_a_control_character(text: str) -> None:
    line = sanitize_text(text)

    assert len(line.splitlines()) <= 1
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Zl", "Zp", "Cs"}
    assert sanitize_text(line) == line
