"""The font files that the package ships."""

from importlib import resources

from goticket_documents.fonts import font_for

FOLDER = resources.files("goticket_documents.font_files")
MOST_BYTES = 15_000_000


def test_the_fonts_take_at_most_15_megabytes() -> None:
    sizes = [len(file.read_bytes()) for file in FOLDER.iterdir() if file.is_file()]

    assert sum(sizes) <= MOST_BYTES


def test_the_licences_are_beside_the_fonts() -> None:
    assert "Bitstream" in FOLDER.joinpath("LICENSE.txt").read_text()
    assert "SIL OPEN FONT LICENSE Version 1.1" in FOLDER.joinpath("OFL.txt").read_text()


def test_the_common_character_sets_of_east_asia_are_covered() -> None:
    for charset in ("gb2312", "big5", "shift_jis", "euc_kr", "gbk"):
        missing = [
            character
            for character in characters_of(charset)
            if not character.isspace() and font_for(character, "") is None
        ]
        assert missing == [], charset


def characters_of(charset: str) -> set[str]:
    """Return the characters that a charset has in two bytes."""
    pairs = (bytes((first, second)) for first in range(0x81, 0xFF) for second in range(0x40, 0xFF))
    return {
        character
        for pair in pairs
        for character in pair.decode(charset, errors="ignore")
        if ord(character) > 0xFF and not "\ue000" <= character <= "\uf8ff"
    }
