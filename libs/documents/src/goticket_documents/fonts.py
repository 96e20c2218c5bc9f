"""Which font a line on a ticket is set in, and how little of it is embedded.

Text that Windows-1252 can write is set in Helvetica, which every PDF reader
has: nothing is embedded, a ticket takes less than a millisecond. All other text is set in
DejaVu Sans. Read whole, that font makes it 90 ms; so the blocks of it that a
text needs are cut out once per process and remembered, which makes it 25 ms.
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

# Stands for a character the font has no picture of.
PLACEHOLDER = "\N{WHITE SQUARE}"
# Enough for the scripts of any one programme; a text in a new mix of blocks
# only costs time.
_REMEMBERED_CUTS = 64
# Basic Latin, Latin-1, Latin Extended-A and General Punctuation come with every
# cut, so that the lines of one ticket mostly share one.
_ALWAYS = frozenset({0x0000, 0x0080, 0x0100, 0x2000})
_FILES: dict[Weight, str] = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}


def set_font(pdf: FPDF, text: str, weight: Weight, size: float) -> str:
    """Select a font for text, size in points, and return what to print with it.

    Invisible characters are dropped, missing pictures replaced by PLACEHOLDER,
    and right-to-left runs put in the order in which they are drawn.
    """
    if _in_windows_1252(text):
        pdf.set_font("helvetica", weight, size)
        return text
    shown = _printable(text, weight)
    family = _add_cut(pdf, weight, shown)
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


def _add_cut(pdf: FPDF, weight: Weight, text: str) -> str:
    """Give the document the font for text, once, and return its family name."""
    blocks = _ALWAYS | {_block(ord(character)) for character in text if character != PLACEHOLDER}
    family = "cut" + weight.lower() + "-".join(f"{block:x}" for block in sorted(blocks))
    if family not in pdf.fonts:
        # fontTools reads any binary file; fpdf2's annotation knows only paths.
        source = cast("Path", io.BytesIO(_cut(weight, blocks)))
        pdf.fonts[family] = TTFFont(pdf, source, family, "")
    return family


def _block(code: int) -> int:
    """First code point of the block of 128 that code is in."""
    return code & ~0x7F


@lru_cache(maxsize=_REMEMBERED_CUTS)
def _cut(weight: Weight, blocks: frozenset[int]) -> bytes:
    """The font reduced to some blocks of 128 code points, layout tables left out."""
    options = subset.Options(layout_features=[], hinting=False, glyph_names=False)
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "FFTM", "MATH", "kern", "gasp"]
    # Boxes are as right as in the whole font, and finding them anew takes as long as the rest.
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
    """Code points the font has pictures of."""
    with TTFont(io.BytesIO(_file(weight)), lazy=True) as font:
        return frozenset(font.getBestCmap())


@lru_cache
def _file(weight: Weight) -> bytes:
    return resources.files("goticket_documents.font_files").joinpath(_FILES[weight]).read_bytes()
