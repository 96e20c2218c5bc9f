"""Turns a line of text of any scripts into positioned glyphs.

Order by the Unicode Bidirectional Algorithm (UAX 9), fonts by grapheme cluster (UAX 29), glyphs
and their positions by HarfBuzz.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby, pairwise, repeat

import regex
import uharfbuzz as hb  # type: ignore[import-untyped]  # ships no types
from fpdf.bidi import BidiParagraph
from fpdf.enums import TextDirection

from goticket_documents.fonts import PLACEHOLDER, Font, Weight, dejavu, font_for, is_invisible

_CLUSTERS = regex.compile(r"\X")
_KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
_RIGHT_TO_LEFT = {"R", "AL", "AN"}
# A line has at most some 100 glyphs of 120 bytes.
_CACHED_LINES = 512


@dataclass(frozen=True, slots=True)
class Glyph:
    """A glyph in drawing order; lengths in 1/1000 em.

    `text` is what it stands for, from index `start` of the line; "" for all but the first glyph
    of a text that has several.
    """

    font: Font
    id: int
    advance: int
    right: int
    up: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class _Run:
    """Characters of one font and one direction, from index `start` of the line."""

    font: Font
    text: str
    start: int
    rtl: bool


def clusters_of(text: str) -> list[str]:
    """Return the grapheme clusters: what a reader takes for one character."""
    found: list[str] = _CLUSTERS.findall(text)
    return found


def printable(text: str, weight: Weight) -> tuple[str, int]:
    """Return the text with PLACEHOLDER for what no font has, and the number of replacements."""
    shown, missing = [], 0
    for part in chain.from_iterable(map(_drawable, clusters_of(text), repeat(weight))):
        if is_invisible(part) or font_for(part, weight):
            shown.append(part)
        else:
            shown.append(PLACEHOLDER)
            missing += 1
    return "".join(shown), missing


def _drawable(cluster: str, weight: Weight) -> Sequence[str]:
    """Return the cluster, or its characters if no font has all of them."""
    return [cluster] if font_for(cluster, weight) else cluster


def is_right_to_left(text: str) -> bool:
    """Whether the first letter is of a script written from right to left (UAX 9, P2 and P3)."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in {"L", "R", "AL"}:
            return direction != "L"
    return False


@lru_cache(maxsize=_CACHED_LINES)
def shape_line(text: str, weight: Weight, *, rtl: bool) -> tuple[Glyph, ...]:
    """Return the glyphs of a line from left to right; `rtl` is its paragraph's direction.

    The text has no character without a glyph, see `printable`.
    """
    language = "ja" if _KANA.search(text) else ""
    glyphs: list[Glyph] = []
    for start, part, backwards in _directional_parts(text, rtl=rtl):
        runs = list(_runs(part, start, weight, rtl=backwards))
        for run in reversed(runs) if backwards else runs:
            glyphs += _shape(run, language)
    return tuple(glyphs)


def _directional_parts(text: str, *, rtl: bool) -> list[tuple[int, str, bool]]:
    """Return start, text and direction of the parts of a line, from left to right (UAX 9, L2)."""
    if not rtl and all(unicodedata.bidirectional(each) not in _RIGHT_TO_LEFT for each in text):
        return [(0, text, False)]
    base = TextDirection.RTL if rtl else TextDirection.LTR
    paragraph = BidiParagraph(text, base, preserve_bn_chars=True)
    parts: list[tuple[int, str, int]] = []
    start = 0
    for level, group in groupby(paragraph.characters, lambda each: each.embedding_level):
        part = "".join(each.character for each in group)
        parts.append((start, part, level))
        start += len(part)
    for level in range(max((part[2] for part in parts), default=0), 0, -1):
        parts = _reversed_from(parts, level)
    return [(start, part, level % 2 == 1) for start, part, level in parts]


def _reversed_from(parts: list[tuple[int, str, int]], level: int) -> list[tuple[int, str, int]]:
    """Reverse every sequence of parts at this level or higher."""
    ordered: list[tuple[int, str, int]] = []
    for high, group in groupby(parts, lambda part: part[2] >= level):
        sequence = list(group)
        ordered += reversed(sequence) if high else sequence
    return ordered


def _runs(part: str, start: int, weight: Weight, *, rtl: bool) -> Iterator[_Run]:
    """Split a part into runs of one font, in reading order."""
    pieces: list[tuple[Font, str]] = []
    for cluster in chain.from_iterable(map(_drawable, clusters_of(part), repeat(weight))):
        # A space of the script's own font, and no second font for a space alone.
        if pieces and (is_invisible(cluster) or (cluster == " " and pieces[-1][0].covers(" "))):
            pieces.append((pieces[-1][0], cluster))
        else:
            pieces.append((font_for(cluster, weight) or dejavu(weight), cluster))
    for font, group in groupby(pieces, lambda piece: piece[0]):
        text = "".join(cluster for _, cluster in group)
        yield _Run(font, text, start, rtl)
        start += len(text)


def _shape(run: _Run, language: str) -> Iterator[Glyph]:
    buffer = hb.Buffer()
    buffer.add_str(run.text)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if run.rtl else "ltr"
    buffer.flags = hb.BufferFlags.REMOVE_DEFAULT_IGNORABLES
    if language:
        buffer.language = language
    hb.shape(run.font.shaper, buffer)
    infos, positions = buffer.glyph_infos, buffer.glyph_positions
    starts = sorted({info.cluster for info in infos})
    ends = dict(pairwise([*starts, len(run.text)]))
    seen: set[int] = set()
    for info, position in zip(infos, positions, strict=True):
        first = info.cluster not in seen
        seen.add(info.cluster)
        yield Glyph(
            run.font,
            info.codepoint,
            position.x_advance,
            position.x_offset,
            position.y_offset,
            run.start + info.cluster,
            run.text[info.cluster : ends[info.cluster]] if first else "",
        )
