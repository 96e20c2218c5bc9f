"""Selects the font of a line on a ticket, and embeds a small subset if it needs one.

Text in Windows-1252 uses Helvetica, which every PDF reader has. Other text uses DejaVu Sans.
fpdf2 takes 90 ms to read that font. A subset with the blocks that a text needs is made once per
process and cached; reading it takes 25 ms.
"""

import io
import unicodedata
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal, cast

from fontTools import subset  # type: ignore[import-untyped]  # ships no types
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]  # ships no types
from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.fonts import TTFFont

Weight = Literal["", "B"]

# Replaces a character for which the font has no glyph.
PLACEHOLDER = "\N{WHITE SQUARE}"
# A text with a combination of blocks that is not cached only costs time.
_CACHED_SUBSETS = 64
# Basic Latin, Latin-1, Latin Extended-A and General Punctuation are in every subset, so that the
# lines of one ticket usually share one.
_ALWAYS = frozenset({0x0000, 0x0080, 0x0100, 0x2000})
_FILES: dict[Weight, str] = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}


def set_font(pdf: FPDF, text: str, weight: Weight, size: float) -> str:
    """Select a font for text, size in points, and return the text to print with it.

    Invisible characters are removed, characters without a glyph become PLACEHOLDER, and
    right-to-left runs are put in drawing order.
    """
    if _in_windows_1252(text):
        pdf.set_font("helvetica", weight, size)
        return text
    shown = _printable(text, weight)
    family = _add_subset(pdf, weight, shown)
    pdf.set_font(family, "", size)
    return _in_drawing_order(shown)


def _in_windows_1252(text: str) -> bool:
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str, weight: Weight) -> str:
    glyphs = _glyphs(weight)
    shown = []
    for character in text:
        if ord(character) in glyphs and unicodedata.category(character) != "Cf":
            shown.append(character)
        elif unicodedata.category(character) not in {"Cf", "Mn", "Me"}:
            shown.append(PLACEHOLDER)
    return "".join(shown)


def _in_drawing_order(text: str) -> str:
    if all(unicodedata.bidirectional(character) not in {"R", "AL"} for character in text):
        return text
    return BidiParagraph(text=text).get_reordered_string()


def _add_subset(pdf: FPDF, weight: Weight, text: str) -> str:
    """Add the subset for text to the document, once, and return its family name."""
    blocks = _ALWAYS | {_block(ord(character)) for character in text if character != PLACEHOLDER}
    family = "subset" + weight.lower() + "-".join(f"{block:x}" for block in sorted(blocks))
    if family not in pdf.fonts:
        # fontTools reads any binary file; fpdf2's annotation knows only paths.
        source = cast("Path", io.BytesIO(_subset(weight, blocks)))
        pdf.fonts[family] = TTFFont(pdf, source, family, "")
    return family


def _block(code: int) -> int:
    """Return the first code point of the block of 128 that contains `code`."""
    return code & ~0x7F


@lru_cache(maxsize=_CACHED_SUBSETS)
def _subset(weight: Weight, blocks: frozenset[int]) -> bytes:
    """Return the font with only some blocks of 128 code points and no layout tables."""
    options = subset.Options(layout_features=[], hinting=False, glyph_names=False)
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "FFTM", "MATH", "kern", "gasp"]
    # The boxes of the whole font remain valid; recomputing them would double the time.
    font = TTFont(io.BytesIO(_file(weight)), lazy=True, recalcBBoxes=False, recalcTimestamp=False)
    subsetter = subset.Subsetter(options)
    wanted = [code for code in _glyphs(weight) if _block(code) in blocks]
    subsetter.populate(unicodes=[*wanted, ord(PLACEHOLDER)])
    subsetter.subset(font)
    target = io.BytesIO()
    font.save(target)
    return target.getvalue()


@lru_cache
def _glyphs(weight: Weight) -> frozenset[int]:
    """Return the code points for which the font has glyphs."""
    with TTFont(io.BytesIO(_file(weight)), lazy=True) as font:
        return frozenset(font.getBestCmap())


@lru_cache
def _file(weight: Weight) -> bytes:
    return resources.files("goticket_documents.font_files").joinpath(_FILES[weight]).read_bytes()
