"""Makes the font subsets in `font_files` from the fonts that Debian and npm distribute.

    apt-get download fonts-noto-core=20201225-1 fonts-noto-cjk=1:20220127+repack1-1
    npm pack @expo-google-fonts/noto-emoji@0.4.7
    dpkg -x (each .deb) SOURCES;  tar xzf (the .tgz) -C SOURCES
    .venv/bin/python -m libs.documents.tools.make_fonts SOURCES

The result depends on these versions and on uharfbuzz only. Subsets have no hinting: PDF readers
do not need it. They keep the layout tables that shape their scripts.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import uharfbuzz as hb  # type: ignore[import-untyped]  # ships no types

TARGET = Path(__file__).parents[1] / "src/goticket_documents/font_files"
CORE = "usr/share/fonts/truetype/noto"
CJK = "usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
EMOJI = "package/400Regular/NotoEmoji_400Regular.ttf"
# Index of a regional form in the collection.
JAPANESE, CHINESE = 0, 2

SCRIPTS = (
    "Adlam",
    "Arabic",
    "Balinese",
    "Bengali",
    "CanadianAboriginal",
    "Chakma",
    "Cherokee",
    "Devanagari",
    "Ethiopic",
    "Gujarati",
    "Gurmukhi",
    "Hebrew",
    "Javanese",
    "Kannada",
    "Khmer",
    "Lao",
    "Malayalam",
    "MeeteiMayek",
    "Myanmar",
    "NKo",
    "OlChiki",
    "Oriya",
    "Sinhala",
    "Sundanese",
    "Syriac",
    "Tamil",
    "Telugu",
    "Thaana",
    "Thai",
    "Tifinagh",
)
# Copyright, family, style, full name, PostScript name, licence and its address.
NAMES = (0, 1, 2, 4, 6, 13, 14)
MATHEMATICAL_LETTERS = range(0x1D400, 0x1D800)
CHINESE_JAPANESE_KOREAN = (
    range(0x20, 0x21),  # a space as wide as its letters expect
    range(0x1100, 0x1200),  # Hangul jamo
    range(0x2312, 0x2313),
    range(0x2460, 0x2500),  # enclosed numbers
    range(0x2E80, 0x3400),  # radicals, punctuation, kana, bopomofo, enclosed
    range(0x3400, 0xA000),  # Han
    range(0xA960, 0xA980),
    range(0xAC00, 0xD800),  # Hangul
    range(0xF900, 0xFB00),
    range(0xFE30, 0xFE70),
    range(0xFF00, 0xFFF0),
    range(0x20000, 0x32000),  # Han, as far as the font has them
)


def subset(face: hb.Face, codes: set[int], glyphs: set[int] | None = None) -> bytes:
    """Return the font with these code points and glyphs, and those that its layout reaches.

    With `glyphs` given, layout adds no further glyph.
    """
    wanted = hb.SubsetInput()
    wanted.flags = hb.SubsetFlags.NO_HINTING
    for code in codes & set(face.unicodes):
        wanted.unicode_set.add(code)
    if glyphs is not None:
        wanted.flags |= hb.SubsetFlags.NO_LAYOUT_CLOSURE
        for glyph in glyphs:
            wanted.glyph_set.add(glyph)
    wanted.name_id_set.clear()
    for name in NAMES:
        wanted.name_id_set.add(name)
    return bytes(hb.subset(face, wanted).blob.data)


def cjk(path: Path) -> bytes:
    """Return Chinese forms of Han, Japanese forms of JIS X 0208, kana and Hangul."""
    collection = hb.Blob.from_file_path(str(path))
    chinese, japanese = (hb.Font(hb.Face(collection, each)) for each in (CHINESE, JAPANESE))
    codes = {code for codes in CHINESE_JAPANESE_KOREAN for code in codes}
    forms = {japanese.get_nominal_glyph(code) for code in jis_kanji()}
    return subset(chinese.face, codes, {form for form in forms if form})


def jis_kanji() -> Iterator[int]:
    """Return the Han characters of JIS X 0208."""
    for row in range(0xB0, 0xF5):
        for cell in range(0xA1, 0xFF):
            character = bytes((row, cell)).decode("euc_jp", errors="ignore")
            if character:
                yield ord(character)


def whole(path: Path, codes: set[int] | None = None) -> bytes:
    """Return a font of one script, or only some of its code points, with all its forms."""
    face = hb.Face(hb.Blob.from_file_path(str(path)))
    return subset(face, set(face.unicodes) if codes is None else codes)


def main() -> None:
    """Write every subset and print its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path)
    sources = parser.parse_args().sources
    core = sources / CORE
    files = {
        f"NotoSans{script}.ttf": whole(core / f"NotoSans{script}-Regular.ttf") for script in SCRIPTS
    }
    files["NotoSerifTibetan.ttf"] = whole(core / "NotoSerifTibetan-Regular.ttf")
    files["NotoSansMath.ttf"] = whole(core / "NotoSansMath-Regular.ttf", set(MATHEMATICAL_LETTERS))
    files["NotoEmoji.ttf"] = whole(sources / EMOJI)
    files["NotoSansCJK.otf"] = cjk(sources / CJK)
    for name, content in files.items():
        (TARGET / name).write_bytes(content)
        sys.stdout.write(f"{len(content):10,} {name}\n")
    sys.stdout.write(f"{sum(map(len, files.values())):10,} in all\n")


if __name__ == "__main__":
    main()
