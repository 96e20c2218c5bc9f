"""Cursors: encoding, decoding and rejection of other texts."""

import pytest
from goticket_platform.cursors import InvalidCursor, decode_cursor, encode_cursor
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.text(), max_size=5))
def test_a_cursor_decodes_to_its_parts(parts: list[str]) -> None:
    assert decode_cursor(encode_cursor(*parts), len(parts)) == tuple(parts)


@given(st.text())
def test_other_texts_are_rejected(text: str) -> None:
    try:
        decode_cursor(text, 2)
    except InvalidCursor:
        return
    assert encode_cursor(*decode_cursor(text, 2)).rstrip("=")


@pytest.mark.parametrize("text", ["", "!", "e30", encode_cursor("one"), "WzEsIDJd", "ą", "[" * 50])
def test_malformed_cursors_are_rejected(text: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(text, 2)
