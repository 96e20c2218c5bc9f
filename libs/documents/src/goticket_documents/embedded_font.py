"""The part of a font that one drawing uses, as objects of a PDF.

HarfBuzz makes the subset: it takes a tenth of a millisecond, fontTools takes twenty. Section
numbers in this module refer to ISO 32000-2:2020.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import uharfbuzz as hb  # type: ignore[import-untyped]  # ships no types
from cachetools import LRUCache
from fpdf.output import PDFFont
from fpdf.syntax import PDFObject

from goticket_documents.fonts import UNITS_PER_EM, Font

CACHE_BYTES = 8 * 1024 * 1024
"""Size of the subsets that are kept for the next ticket of an event or a buyer."""

_DROPPED_TABLES = ("GDEF", "GPOS", "GSUB", "OS/2", "cmap", "kern", "name", "post", "gasp", "FFTM")
_SYMBOLIC = 4
_ITALIC_ANGLE, _STEM = 0, 80
_CMAP_BLOCK = 100


@dataclass(frozen=True)
class EmbeddedFont:
    """A subset; `codes` maps glyphs of the font to those of the subset."""

    codes: Mapping[int, int]
    program: bytes
    """The compressed font file."""
    parts: tuple[str, str, str, str]
    """Dictionaries of the font, its descendant, its descriptor and its file (9.7, 9.8)."""
    to_unicode: bytes
    """The compressed map from codes to text (9.10.3)."""

    def objects(self) -> list[PDFFont]:
        """Return new objects for one document, to be added in this order."""
        streams = (None, None, None, self.program, self.to_unicode)
        compressed = f"<</Length {len(self.to_unicode)}/Filter/FlateDecode>>"
        return [
            _FontPart(number, part, stream)
            for number, (part, stream) in enumerate(
                zip((*self.parts, compressed), streams, strict=True)
            )
        ]

    @property
    def size(self) -> int:
        """The memory it takes, in bytes."""
        return len(self.program) + len(self.to_unicode) + sum(map(len, self.parts)) + 200


class _FontPart(PDFFont):
    """An object that is already text; "{0}" to "{4}" are references to the five parts."""

    def __init__(self, number: int, text: str, stream: bytes | None) -> None:
        PDFObject.__init__(self)
        self._number = number
        self._text = text
        self._stream = stream

    def serialize(self, obj_dict: object = None, _security_handler: object = None) -> str:
        """Return the object as it is written to the file."""
        first = self.id - self._number
        text = self._text
        for number in range(5):
            text = text.replace(f"{{{number}}}", f"{first + number} 0 R")
        if self._stream is not None:
            text += f"\nstream\n{self._stream.decode('latin-1')}\nendstream"
        return f"{self.id} 0 obj\n{text}\nendobj"


_cache: LRUCache[tuple[Font, frozenset[tuple[int, str]]], EmbeddedFont] = LRUCache(
    CACHE_BYTES, getsizeof=lambda font: font.size
)


def embed(font: Font, texts: Mapping[int, str]) -> EmbeddedFont:
    """Return the subset with these glyphs; `texts` is what each stands for."""
    key = (font, frozenset(texts.items()))
    found = _cache.get(key)
    if found is None:
        found = _cache[key] = _subset(font, texts)
    return found


def _subset(font: Font, texts: Mapping[int, str]) -> EmbeddedFont:
    wanted = hb.SubsetInput()
    wanted.flags = hb.SubsetFlags.NO_HINTING | hb.SubsetFlags.NO_LAYOUT_CLOSURE
    if font.has_cubic_outlines:
        wanted.flags |= hb.SubsetFlags.CFF_IDENTITY_CHARSET
    for glyph in texts:
        wanted.glyph_set.add(glyph)
    for table in _DROPPED_TABLES:
        wanted.drop_table_tag_set.add(int.from_bytes(table.encode(), "big"))
    plan = hb.SubsetPlan(font.subset_source, wanted)
    mapping = plan.old_to_new_glyph_mapping
    codes = {glyph: mapping[glyph] for glyph in texts}
    face = plan.execute()
    program = (face.reference_table("CFF ") if font.has_cubic_outlines else face.blob).data
    compressed = zlib.compress(program)
    # A glyph without a text of its own belongs to the text of the one before it.
    texts_of_codes = {codes[glyph]: text or "\u200b" for glyph, text in texts.items()}
    return EmbeddedFont(
        codes=codes,
        program=compressed,
        parts=_dictionaries(font, codes, len(compressed), len(program)),
        to_unicode=zlib.compress(_to_unicode(texts_of_codes)),
    )


def _dictionaries(
    font: Font, codes: Mapping[int, int], length: int, original: int
) -> tuple[str, str, str, str]:
    name = f"GOTICK+{font.name}"
    widths = " ".join(
        f"{code}[{font.shaper.get_glyph_h_advance(glyph)}]" for glyph, code in codes.items()
    )
    cubic = font.has_cubic_outlines
    descendant = (
        f"<</Type/Font/Subtype/{'CIDFontType0' if cubic else 'CIDFontType2'}/BaseFont/{name}"
        "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
        f"/FontDescriptor {{2}}/W[{widths}]{'' if cubic else '/CIDToGIDMap/Identity'}>>"
    )
    file = "FontFile3" if cubic else "FontFile2"
    extents = font.shaper.get_font_extents("ltr")
    descriptor = (
        f"<</Type/FontDescriptor/FontName/{name}/Flags {_SYMBOLIC}"
        f"/FontBBox[{-UNITS_PER_EM} {extents.descender} {2 * UNITS_PER_EM} {extents.ascender}]"
        f"/ItalicAngle {_ITALIC_ANGLE}/Ascent {extents.ascender}/Descent {extents.descender}"
        f"/CapHeight {extents.ascender}/StemV {_STEM}/{file} {{3}}>>"
    )
    kind = "/Subtype/CIDFontType0C" if cubic else f"/Length1 {original}"
    composite = (
        f"<</Type/Font/Subtype/Type0/BaseFont/{name}/Encoding/Identity-H"
        "/DescendantFonts[{1}]/ToUnicode {4}>>"
    )
    program = f"<</Length {length}/Filter/FlateDecode{kind}>>"
    return composite, descendant, descriptor, program


def _to_unicode(texts: Mapping[int, str]) -> bytes:
    entries = [
        f"<{code:04X}> <{text.encode('utf-16-be').hex()}>" for code, text in sorted(texts.items())
    ]
    blocks = [entries[start : start + _CMAP_BLOCK] for start in range(0, len(entries), _CMAP_BLOCK)]
    lines = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
        "/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def",
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
        "1 begincodespacerange <0000> <FFFF> endcodespacerange",
    ]
    for block in blocks:
        lines += [f"{len(block)} beginbfchar", *block, "endbfchar"]
    lines.append("endcmap CMapName currentdict /CMap defineresource pop end end")
    return "\n".join(lines).encode("ascii")
