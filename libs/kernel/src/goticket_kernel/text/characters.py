"""Classes of characters: spaces, marks, joiners, and the code points that have no shape.

`unicodedata` has no Default_Ignorable_Code_Point, Extended_Pictographic or Joining_Type. The
ranges below come from DerivedCoreProperties.txt and emoji-data.txt of Unicode 16.
"""

import functools
import re
import unicodedata
from typing import Final

ZERO_WIDTH_NON_JOINER: Final = "\u200c"
ZERO_WIDTH_JOINER: Final = "\u200d"
JOINERS: Final = frozenset({ZERO_WIDTH_NON_JOINER, ZERO_WIDTH_JOINER})
ISOLATE_STARTS: Final = frozenset("\u2066\u2067\u2068")
ISOLATE_END: Final = "\u2069"
DIRECTION_CONTROLS: Final = ISOLATE_STARTS | frozenset("\u061c\u200e\u200f\u2069")
"""Marks and isolates (UAX #9, 2.4 and 2.6). Embeddings and overrides are not among them: UAX #9
recommends isolates instead, and an override writes a text backwards."""

SPACES: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]")
"""Spaces of any width (Zs, without the plain one), and the braille pattern without dots."""
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Hangul fillers: letters by their category, without a shape."""
_BLANK_MARKS = frozenset("\u034f\u17b4\u17b5")
_OBJECT_REPLACEMENT = "\ufffc"
_VISIBLE_FORMAT = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
"""Format characters with a shape (Prepended_Concatenation_Mark)."""
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})

# Newer than the `unicodedata` of some Python versions, and reserved for nothing else.
_NEW_PICTOGRAPHS = re.compile("[\U0001f000-\U0001faff]")
_NEW_IDEOGRAPHS = re.compile("[\U00020000-\U0003347f]")

# Scripts whose words need joiners: Arabic and its neighbours, the Brahmic scripts, Mongolian.
_JOINING_SCRIPTS = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1700-\u18af\u1900-\u1cff\ua800-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff]"
)
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f]")
_IDEOGRAPHIC_SELECTORS = re.compile("[\U000e0100-\U000e01ef]")
_MONGOLIAN_SELECTORS = re.compile("[\u180b-\u180d\u180f]")
_SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")
_REGIONAL_INDICATORS = re.compile("[\U0001f1e6-\U0001f1ff]")
# Emoji that the variation selector makes from other characters (emoji-variation-sequences.txt).
_SELECTABLE_CATEGORIES = frozenset({"Lo", "Nd", "Pd", "Pe", "Po", "Ps", "Sm", "So"})
_INFORMATION_SOURCE = "\u2139"


_remembered = functools.lru_cache(maxsize=8192)
"""Texts repeat their characters, and each class costs several look-ups."""


def category(character: str) -> str:
    """Return the general category; that of newer emoji and ideographs in any Python version."""
    found = unicodedata.category(character)
    if found != "Cn":
        return found
    if _NEW_PICTOGRAPHS.match(character):
        return "So"
    return "Lo" if _NEW_IDEOGRAPHS.match(character) else found


@_remembered
def is_plain(character: str) -> bool:
    """Whether a character has a shape, is seen as one, and may stand anywhere in a line."""
    return character in " \t\n" or not (
        continues_character(character)
        or is_regional_indicator(character)
        or character in DIRECTION_CONTROLS
    )


@_remembered
def is_mark(character: str) -> bool:
    """Whether a character is a combining mark, which needs a character before it."""
    return unicodedata.category(character).startswith("M")


@_remembered
def is_selector(character: str) -> bool:
    """Whether a character selects a variant of the one before it."""
    return bool(
        _VARIATION_SELECTORS.match(character)
        or _IDEOGRAPHIC_SELECTORS.match(character)
        or _MONGOLIAN_SELECTORS.match(character)
    )


@_remembered
def is_shapeless(character: str) -> bool:
    """Whether a character has no shape, in any place.

    Joiners, selectors and the controls of direction have none either, but a purpose in their
    places. They are not meant.
    """
    if character in _VISIBLE_FORMAT:
        return False
    return (
        character in _BLANK_LETTERS
        or character in _BLANK_MARKS
        or character == _OBJECT_REPLACEMENT
        or category(character) in _REFUSED_CATEGORIES
    )


def is_unseen(character: str) -> bool:
    """Whether a character that may be in a text changes at most the shape of others."""
    return character in JOINERS or character in DIRECTION_CONTROLS or is_selector(character)


def may_join(previous: str, joiner: str, following: str) -> bool:
    """Whether a joiner may stand between two characters; "" is no character.

    It may follow a letter of a script that needs it. A ZWJ may join two emoji, too.
    """
    if not previous:
        return False
    if _JOINING_SCRIPTS.match(previous):
        return True
    if joiner == ZERO_WIDTH_NON_JOINER or not following:
        return False
    return is_emoji_part(previous) and category(following) == "So"


def is_emoji_part(character: str) -> bool:
    """Whether a character is a symbol, its variation selector or its skin tone."""
    return category(character) == "So" or bool(
        _VARIATION_SELECTORS.match(character) or _SKIN_TONES.match(character)
    )


def may_precede_selector(character: str, selector: str) -> bool:
    """Whether a selector may follow: each kind has its own bases."""
    if _IDEOGRAPHIC_SELECTORS.match(selector):
        return unicodedata.name(character, "CJK").startswith("CJK") and category(character) == "Lo"
    if _MONGOLIAN_SELECTORS.match(selector):
        return "\u1800" <= character <= "\u18af" and not is_selector(character)
    if character == _INFORMATION_SOURCE or _SKIN_TONES.match(character):
        return True
    return category(character) in _SELECTABLE_CATEGORIES


@_remembered
def continues_character(character: str) -> bool:
    """Whether people see a character as part of the one before it (UAX #29, simplified)."""
    return (
        is_mark(character)
        or character in JOINERS
        or bool(_SKIN_TONES.match(character))
        or is_shapeless(character)
    )


def is_regional_indicator(character: str) -> bool:
    """Whether a character is half of a flag."""
    return bool(_REGIONAL_INDICATORS.match(character))
