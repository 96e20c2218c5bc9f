"""Breaks text into lines and truncates it, given the width of each grapheme cluster.

A small part of UAX 14: lines break after spaces and between ideographs, kana and Yi, but not
before closing or after opening punctuation. A word that is wider than a line breaks anywhere
between clusters.
"""

from collections.abc import Sequence
from itertools import accumulate

import regex

_IDEOGRAPHIC = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\u3000-\u303F\uFF00-\uFFEF]"
)
_NO_LINE_START = regex.compile(
    r"[\p{Pe}\p{Pf}\p{Po}ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々〻〜]"
)
_NO_LINE_END = regex.compile(r"[\p{Ps}\p{Pi}]")


def wrap(clusters: Sequence[str], widths: Sequence[float], room: float) -> list[tuple[int, int]]:
    """Return start and end of each line, without spaces at its ends."""
    lines: list[tuple[int, int]] = []
    start, opportunity, used = 0, 0, 0.0
    for index, width in enumerate(widths):
        if index > start and _may_break(clusters[index - 1], clusters[index]):
            opportunity = index
        if used + width > room and index > start and clusters[index] != " ":
            end = opportunity if opportunity > start else index
            lines.append((start, end))
            start = end
            used = sum(widths[start:index])
        used += width
    lines.append((start, len(clusters)))
    trimmed = [_trim(clusters, *line) for line in lines]
    return [line for line in trimmed if line[0] < line[1]]


def fitting(widths: Sequence[float], start: int, room: float) -> int:
    """Return the end of the longest part from `start` that fits, at least one cluster."""
    ends = accumulate(widths[start:])
    return start + max(1, sum(1 for width in ends if width <= room))


def _may_break(before: str, after: str) -> bool:
    if before == " ":
        return True
    if not (_IDEOGRAPHIC.match(before) or _IDEOGRAPHIC.match(after)):
        return False
    return not (_NO_LINE_START.match(after) or _NO_LINE_END.match(before) or after == " ")


def _trim(clusters: Sequence[str], start: int, end: int) -> tuple[int, int]:
    while start < end and clusters[end - 1] == " ":
        end -= 1
    while start < end and clusters[start] == " ":
        start += 1
    return start, end
