"""Text from outside made fit for one line of a header, a page or a letter."""

import unicodedata

# Characters that reorder or hide what stands around them, and with it could
# make a name look like something else.
_BIDI_CONTROLS = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
_BREAKS = {"Cc", "Zl", "Zp"}
_INVISIBLE = {"Cs", "Cn"}


def sanitize_text(text: str) -> str:
    """One line without control characters, composed (NFC), blanks collapsed.

    Line breaks become blanks, so that nothing written by a user can end a
    header line and begin another.
    """
    if text.isascii() and text.isprintable():  # most are, and have nothing to take out
        return " ".join(text.split())
    kept = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category in _BREAKS:
            kept.append(" ")
        elif category not in _INVISIBLE and character not in _BIDI_CONTROLS:
            kept.append(character)
    return " ".join("".join(kept).split())
