"""The fonts that ship with tickets, and which of them draws a character.

Text in Windows-1252 uses Helvetica, which every PDF reader has. Other text uses DejaVu Sans,
then the Noto font of its script. A character that no font has is drawn as PLACEHOLDER.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Literal

import regex
import uharfbuzz as hb  # type: ignore[import-untyped]  # ships no types

Weight = Literal["", "B"]

PLACEHOLDER = "\N{WHITE SQUARE}"
"""Replaces a character that no font has."""

UNITS_PER_EM = 1000
"""Widths of glyphs are in thousandths of the type size, as in PDF."""

_DEJAVU: dict[Weight, str] = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
_EMOJI = "NotoEmoji.ttf"
_BLOCK_BITS = 8
# Blocks of Hebrew, Arabic, N'Ko, Lao, Canadian syllabics, Tifinagh and Arabic presentation forms.
# DejaVu draws these as well, but not as readably as the Noto font of the script.
_NOT_DEJAVU = frozenset({0x05, 0x06, 0x07, 0x0E, 0x14, 0x15, 0x16, 0x2D, 0xFB, 0xFC, 0xFD, 0xFE})
# Unicode Technical Standard 51: shown as emoji by default, or by a variation selector.
_IS_EMOJI = regex.compile(r"[\p{Emoji_Presentation}\N{VARIATION SELECTOR-16}]")
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
# Some 150 bytes each; a cluster is longer only if it has many combining marks.
_CACHED_CLUSTERS = 8192
_CACHED_BLOCKS = 1024


@dataclass(frozen=True, eq=False)
class Font:
    """One file of `font_files`; loaded when a text first needs it."""

    file: str

    @cached_property
    def face(self) -> hb.Face:
        """The tables of the font, mapped into memory."""
        path = resources.files("goticket_documents.font_files").joinpath(self.file)
        return hb.Face(hb.Blob.from_file_path(str(path)))

    @cached_property
    def shaper(self) -> hb.Font:
        """The font for HarfBuzz, in units of 1/1000 em."""
        font = hb.Font(self.face)
        font.scale = (UNITS_PER_EM, UNITS_PER_EM)
        return font

    @cached_property
    def subset_source(self) -> hb.Face:
        """The font prepared for subsets.

        For the largest font it takes 0.4 s of CPU time once, and saves 4 ms for each subset.
        """
        return hb.subset_preprocess(self.face)

    @cached_property
    def blocks(self) -> frozenset[int]:
        """The blocks of 256 code points in which the font has characters."""
        return frozenset(code >> _BLOCK_BITS for code in self.face.unicodes)

    @property
    def name(self) -> str:
        """The name of the font in a PDF."""
        return self.file.partition(".")[0]

    @property
    def has_cubic_outlines(self) -> bool:
        """Whether glyphs are in the table "CFF " and not in "glyf"."""
        return self.file.endswith(".otf")

    def is_bold(self) -> bool:
        """Whether its glyphs are bold; others are made bolder by a stroke."""
        return self.file == _DEJAVU["B"]

    def covers(self, cluster: str) -> bool:
        """Whether the font has a glyph for every visible character."""
        return all(
            self.shaper.get_nominal_glyph(ord(each)) or _INVISIBLE.match(each) for each in cluster
        )


def in_windows_1252(text: str) -> bool:
    """Whether Helvetica has every character of the text."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def is_invisible(cluster: str) -> bool:
    """Whether a reader sees nothing of it: it has default-ignorable characters only."""
    return all(map(_INVISIBLE.match, cluster))


@lru_cache(maxsize=_CACHED_CLUSTERS)
def font_for(cluster: str, weight: Weight) -> Font | None:
    """Return the first font that has all characters of a grapheme cluster; None if none has."""
    block = ord(cluster[0]) >> _BLOCK_BITS
    if _IS_EMOJI.search(cluster):
        chain = (_font(_EMOJI), *_fonts_of(block, weight))
    else:
        chain = _fonts_of(block, weight)
    return next((font for font in chain if font.covers(cluster)), None)


def dejavu(weight: Weight) -> Font:
    """Return the font that has PLACEHOLDER."""
    return _font(_DEJAVU[weight])


@lru_cache(maxsize=_CACHED_BLOCKS)
def _fonts_of(block: int, weight: Weight) -> tuple[Font, ...]:
    """Return the fonts that may have characters of the block, the preferred one first."""
    first, others = dejavu(weight), _noto_fonts()
    ordered = (*others, first) if block in _NOT_DEJAVU else (first, *others)
    return tuple(font for font in ordered if block in font.blocks)


@lru_cache
def _noto_fonts() -> tuple[Font, ...]:
    """Return the Noto fonts, those of one script first."""
    folder = resources.files("goticket_documents.font_files")
    files = sorted(each.name for each in folder.iterdir() if each.name.startswith("Noto"))
    last = ("NotoSansCJK.otf", "NotoSansMath.ttf", _EMOJI)
    return tuple(_font(file) for file in [*(each for each in files if each not in last), *last])


@lru_cache
def _font(file: str) -> Font:
    return Font(file)
