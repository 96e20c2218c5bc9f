"""Symbols drawn from layouts, beside those of the library."""

import segno
from goticket_documents.qr import qr_modules
from goticket_documents.qr_layout import Layout, has_layout
from hypothesis import given, settings
from hypothesis import strategies as st

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
TICKET_CODE_LENGTH = 167


def library_rows(code: str) -> list[bytes]:
    return [bytes(row) for row in segno.make_qr(code, error="m", mask=2).matrix]


@given(code=st.text(ALPHABET, min_size=TICKET_CODE_LENGTH, max_size=TICKET_CODE_LENGTH))
def test_a_ticket_codes_symbol_is_the_librarys(code: str) -> None:
    assert qr_modules(code) == library_rows(code)


# Up to version 28 and back: every length of the character count, qr_layout with and without
# version information, with blocks of one and of two sizes, with modules left over.
@settings(max_examples=30, deadline=None)
@given(code=st.text(ALPHABET, min_size=1, max_size=1700).filter(has_layout))
def test_codes_of_any_length_have_the_librarys_symbol(code: str) -> None:
    assert Layout(len(code), "m", 2).rows(code) == library_rows(code)


def test_every_size_of_symbol_has_its_layout() -> None:
    code = "GT1.A:$%*+-./" + ALPHABET * 75
    for length in (
        1,
        20,
        21,
        38,
        61,
        90,
        122,
        154,
        178,
        221,
        262,
        311,
        366,
        450,
        600,
        1000,
        2000,
        3380,
    ):
        shown = code[:length]
        assert qr_modules(shown) == library_rows(shown)


def test_codes_beyond_the_alphanumeric_mode_are_left_to_the_library() -> None:
    for code in ("gt1.lower", "0123456789", "Ä", "日本"):
        assert not has_layout(code)
        assert qr_modules(code) == library_rows(code)
