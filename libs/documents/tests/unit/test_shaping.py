"""Glyphs of lines: joined, in order, from the right font."""
# ruff: noqa: RUF001 - text of every script is meant

import pytest
from goticket_documents.fonts import PLACEHOLDER, font_for
from goticket_documents.shaping import Glyph, clusters_of, is_right_to_left, printable, shape_line
from hypothesis import given
from hypothesis import strategies as st


def glyphs(text: str, *, rtl: bool | None = None) -> tuple[Glyph, ...]:
    return shape_line(text, "", rtl=is_right_to_left(text) if rtl is None else rtl)


def texts(text: str, *, rtl: bool | None = None) -> list[str]:
    """The glyphs' texts from left to right."""
    return [glyph.text for glyph in glyphs(text, rtl=rtl) if glyph.text]


def fonts(text: str) -> list[str]:
    return list(dict.fromkeys(glyph.font.name for glyph in glyphs(text)))


def test_arabic_letters_are_joined() -> None:
    isolated = {glyphs(letter)[0].id for letter in "فيروز"}
    (ya,) = (glyph for glyph in glyphs("فيروز") if glyph.text == "ي")

    assert ya.id not in isolated
    assert glyphs("لا")[0].text == "لا", "lam and alef are one glyph"


def test_words_from_right_to_left_are_in_drawing_order() -> None:
    assert texts("אבג") == ["ג", "ב", "א"]
    assert texts("אב 12 AB") == [*"AB", " ", *"12", " ", *"בא"]
    assert texts("AB אב CD") == [*"AB", " ", *"בא", " ", *"CD"]


def test_brackets_are_mirrored_in_text_from_right_to_left() -> None:
    assert glyphs("א(ב)")[0].id == glyphs("(")[0].id


def test_marks_stand_on_their_letters() -> None:
    letter, mark = glyphs("\N{LATIN SMALL LETTER Q}\N{COMBINING DIAERESIS}")

    assert letter.advance > 0
    assert mark.advance == 0


def test_an_emoji_sequence_is_one_glyph() -> None:
    for emoji in ("👨\u200d👩\u200d👧", "🇩🇪", "👍🏽", "❤️"):
        assert [glyph.font.name for glyph in glyphs(emoji)] == ["NotoEmoji"]


def test_conjuncts_of_devanagari_are_formed() -> None:
    assert len(glyphs("क्ष")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Łódź Жук Ωμ", ["DejaVuSans"]),
        ("张伟 ひらがな 김민수", ["NotoSansCJK"]),
        ("حفلة", ["NotoSansArabic"]),
        ("שלום", ["NotoSansHebrew"]),
        ("Ł张", ["DejaVuSans", "NotoSansCJK"]),
        ("𝓐", ["NotoSansMath"]),
    ],
)
def test_a_text_has_the_font_of_its_script(text: str, expected: list[str]) -> None:
    assert fonts(text) == expected


def test_japanese_text_has_japanese_forms_of_han() -> None:
    (chinese,) = glyphs("直")

    assert glyphs("直の")[0].id != chinese.id


def test_a_character_that_no_font_has_is_replaced_and_counted() -> None:
    assert printable("a\U00012000b", "") == (f"a{PLACEHOLDER}b", 1)
    assert printable("\u0301\U00012000", "")[1] == 1
    assert font_for("\U00012000", "") is None


def test_invisible_characters_take_no_place() -> None:
    assert len(glyphs("Ł\u200bó\u2060d\ufeff")) == 3
    assert glyphs("\u200b\u2060") == ()


@given(st.text(max_size=60))
def test_no_text_has_a_glyph_of_notdef(text: str) -> None:
    shown, _ = printable(text, "")

    for rtl in (False, True):
        assert 0 not in {glyph.id for glyph in shape_line(shown, "", rtl=rtl)}


@given(st.text(max_size=60))
def test_no_visible_character_is_lost(text: str) -> None:
    shown, missing = printable(text, "")

    assert len(shown) == len(text)
    assert shown.count(PLACEHOLDER) == text.count(PLACEHOLDER) + missing
    assert "".join(clusters_of(text)) == text
