"""The rule of texts that people see: what is stored, and what is refused."""

import unicodedata

import pytest
from goticket_kernel.text import (
    DESCRIPTION,
    LOCATION,
    PERSON_NAME,
    InvalidText,
    TextRule,
    comparison_key,
)
from goticket_kernel.text.rules import MAX_MARKS, visible_length
from hypothesis import given
from hypothesis import strategies as st

NAME = PERSON_NAME
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

BLANK = {
    "nothing": "",
    "spaces": "   ",
    "no-break space": "\u00a0",
    "ideographic space": "\u3000",
    "braille blank": "\u2800",
    "zero width space": "\u200b",
    "zero width no-break space": "\ufeff",
    "word joiner": "\u2060",
    "soft hyphen": "\u00ad",
    "zero width joiner": "\u200d",
    "zero width non-joiner": "\u200c",
    "combining grapheme joiner": "\u034f",
    "Hangul choseong filler": "\u115f",
    "Hangul jungseong filler": "\u1160",
    "Hangul filler": "\u3164",
    "halfwidth Hangul filler": "\uffa0",
    "Khmer inherent vowel": "\u17b4",
    "Mongolian vowel separator": "\u180e",
    "combining mark": "\u0301",
    "enclosing mark": "\u20dd",
    "variation selector": "\ufe0f",
    "ideographic variation selector": "\U000e0100",
    "tag": "\U000e0041",
    "language tag": "\U000e0001",
    "direction mark": "\u200e",
    "Arabic letter mark": "\u061c",
    "empty isolate": "\u2066\u2069",
    "override": "\u202e\u202c",
    "invisible operator": "\u2061",
    "musical format": "\U0001d173",
    "annotation": "\ufff9\ufffb",
    "object replacement": "\ufffc",
    "private use": "\ue000",
    "private use of plane 16": "\U00100000",
    "unassigned": "\u0378",
    "noncharacter": "\ufdd0",
    "last noncharacter": "\U0010ffff",
    "lone surrogate": "\ud800",
    "NUL": "\x00",
    "escape": "\x1b",
    "delete": "\x7f",
    "next line": "\x85",
    "line break": "\n",
    "line separator": "\u2028",
}


@pytest.mark.parametrize("text", BLANK.values(), ids=BLANK)
def test_a_name_that_is_blank_to_the_eye_is_refused(text: str) -> None:
    for blank in (text, f" {text} ", text * 2):
        with pytest.raises(InvalidText):
            NAME.prepare(blank)


@pytest.mark.parametrize("text", BLANK.values(), ids=BLANK)
def test_an_optional_text_that_is_blank_is_refused_or_empty(text: str) -> None:
    for rule in (LOCATION, DESCRIPTION):
        try:
            assert rule.prepare(text) == ""
        except InvalidText:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "Ann\nLee",
        "Ann\tLee",
        "Ann\u2028Lee",
        "Ann\x1b[31m",
        "A\u200dnn",
        "A\u200cnn",
        "A\ufe0fnn",
        "Ann\u3164",
        "Ann\u202eeeL\u202c",
        "\u202aAnn\u202c",
        "Ann\u2066",
        "Ann\u2069",
        "\u2069Ann\u2066",
        "Ann \u0301Lee",
        "\u0301Ann",
        "A" + "\u0316" * (MAX_MARKS + 1),
        "\U0001f469\u200d",
        "\U0001f469\u200dA",
        "\U0001f3f4\U000e0067",
        "A" + ENGLAND[1:],
        "Ann\ue000",
        "Ann\u0378",
    ],
)
def test_a_name_with_characters_out_of_their_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidText):
        NAME.prepare(text)


USABLE = {
    "Polish": "Zażółć gęślą jaźń",
    "Persian, with ZWNJ": "می\u200cشود",
    "Kurdish, ZWNJ at the end of a word": "فرش\u200c سر",
    "Hindi, with ZWJ": "क्\u200dष",
    "Marathi, eyelash ra": "दऱ्\u200dया",
    "Malayalam, chillu with ZWJ": "ന്\u200d",
    "Sinhala, with ZWJ": "ශ්\u200dරී",
    "Bengali, ya-phalaa": "র\u200d্যাম",
    "Tamil": "தமிழ்",
    "Thai": "คอนเสิร์ต",
    "Hebrew, with a direction mark": "שלום\u200e!",
    "Hebrew, isolated": "\u2067שלם\u2069 x",
    "Hebrew, with points": "שָׁל֣וֹם",
    "Chinese": "2027周杰伦演唱会",
    "Japanese, with a variant": "葛\U000e0100城市",
    "Korean": "방탄소년단",
    "Mongolian, with a variant": "ᠮᠣ\u180bᠩ",
    "family": FAMILY,
    "skin tone": "\U0001f9d1\U0001f3fd\u200d\U0001f680",
    "heart": "\u2764\ufe0f",
    "heart on fire": "\u2764\ufe0f\u200d\U0001f525",
    "keycap": "1\ufe0f\u20e3",
    "rainbow flag": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "shrug": "\U0001f937\U0001f3fd\u200d\u2642\ufe0f",
    "flag": "\U0001f1f5\U0001f1f1",
    "England": ENGLAND,
    "emoji of 2022": "\U0001fae8",
    "mathematical letters": "\U0001d578\U0001d58a",
    "punctuation": "O'Brien \"; --",
    "only punctuation": "!!!",
}


@pytest.mark.parametrize("text", USABLE.values(), ids=USABLE)
def test_a_name_of_any_language_and_emoji_is_stored_as_it_is(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    assert NAME.prepare(text) == text
    assert DESCRIPTION.prepare(text) == text


def test_spaces_and_composition_are_the_same_for_all_who_type_a_name() -> None:
    assert NAME.prepare("\u00a0Ann \u3000 Lee\u2003") == "Ann Lee"  # RFC 8266, 2.1
    assert NAME.prepare("Zoe\u0308") == "Zo\u00eb"
    assert NAME.prepare("\ufeffAnn\u00ad\u200bLee") == "AnnLee"


def test_a_description_keeps_its_lines_and_indentation() -> None:
    text = " First \r\n\r\n  indented\t\u2028last\n "
    assert DESCRIPTION.prepare(text) == "First\n\n  indented\nlast"
    assert DESCRIPTION.prepare("a\tb") == "a\tb"
    with pytest.raises(InvalidText):
        DESCRIPTION.prepare("\u2067one\ntwo\u2069")  # UAX #9 ends an isolate with its line


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("Ann", 3),
        (FAMILY, 1),
        (ENGLAND, 1),
        ("\U0001f1f5\U0001f1f1\U0001f1e9\U0001f1ea", 2),
        ("\u2764\ufe0f" * 3, 3),
        ("e\u0316\u0301", 1),
        ("தமிழ்", 3),
        ("周杰伦", 3),
    ],
)
def test_length_counts_what_people_see(text: str, length: int) -> None:
    assert visible_length(text) == length


def test_a_text_is_limited_in_characters_and_in_bytes() -> None:
    rule = TextRule(20)
    assert rule.prepare("x" * 20)
    assert rule.prepare("周" * 20)
    assert rule.prepare("\U0001f3b8" * 20)
    assert rule.prepare(FAMILY * 4)
    for too_long in ("x" * 21, "周" * 21, FAMILY * 5, "e\u0316\u0316" * 20, "x" * 10**6):
        with pytest.raises(InvalidText, match=r"20 characters|80 bytes"):
            rule.prepare(too_long)


@given(
    st.text(max_size=60)
    | st.text(
        alphabet=st.sampled_from(
            "aé周 \n\t\u200d\u200b\u2066\u2069"
            "\u0301\ufe0f\u2764\U0001f469\U0001f3fd\U000e0067\u093f\u094d\u0915"
        ),
        max_size=12,
    )
)
def test_a_prepared_text_is_stable_visible_and_safe_to_print(text: str) -> None:
    for rule in (NAME, LOCATION, DESCRIPTION):
        try:
            prepared = rule.prepare(text)
        except InvalidText:
            continue
        assert rule.prepare(prepared) == prepared
        assert unicodedata.is_normalized("NFC", prepared)
        assert prepared == prepared.strip()
        assert len(prepared.encode()) <= rule.max_bytes
        shapes = {"L", "N", "P", "S"}
        assert not prepared or any(
            unicodedata.category(one)[0] in shapes or one > "\uffff" for one in prepared
        )
        allowed = "\n\t" if rule.multiline else ""
        assert not any(
            unicodedata.category(one) in {"Cc", "Cs", "Co", "Zl", "Zp"} and one not in allowed
            for one in prepared
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Golden Circle", "golden circle"),
        ("Stra\u00dfe", "STRASSE"),
        ("VIP", "\uff36\uff29\uff30"),
        ("\u2764", "\u2764\ufe0f"),
        ("Stehplatz", "\u200eStehplatz"),
        ("\u0646\u0627\u0645\u0647", "\u0646\u0627\u0645\u0647\u200c"),
    ],
)
def test_names_that_look_the_same_compare_as_equal(one: str, other: str) -> None:
    assert comparison_key(NAME.prepare(one)) == comparison_key(NAME.prepare(other))
    assert comparison_key(one) != comparison_key(f"{other} 2")
