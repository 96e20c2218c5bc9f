"""Symbols drawn from layouts, compared with segno's."""

import segno
from goticket_documents.fast.qr_layout import Layout, has_layout
from goticket_documents.qr import qr_modules
from hypothesis import given, settings
from hypothesis import strategies as st

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
TICKET_CODE_LENGTH = 167


def segno_rows(code: str) -> list[bytes]:
    return [bytes(row) for row in segno.make_qr(code, error="m", mask=2).matrix]


@given(code=st.text(ALPHABET, min_size=TICKET_CODE_LENGTH, max_size=TICKET_CODE_LENGTH))
def test_a_ticket_codes_symbol_equals_segnos(code: str) -> None:
    assert qr_modules(code) == segno_rows(code)


# Up to version 28: every length of the character count, symbols with and without version
# information, with blocks of one and of two sizes, with remainder bits.
@settings(max_examples=30, deadline=None)
@given(code=st.text(ALPHABET, min_size=1, max_size=1700).filter(has_layout))
def test_symbols_of_codes_of_any_length_equal_segnos(code: str) -> None:
    assert Layout(len(code), "m", 2).rows(code) == segno_rows(code)


def test_symbols_of_every_size_equal_segnos() -> None:
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
        assert qr_modules(shown) == segno_rows(shown)


def test_codes_beyond_the_alphanumeric_mode_are_encoded_by_segno() -> None:
    for code in ("gt1.lower", "0123456789", "Ä", "日本"):
        assert not has_layout(code)
        assert qr_modules(code) == segno_rows(code)
