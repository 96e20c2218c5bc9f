"""Makes untrusted text safe for one line of a header, a page or an e-mail."""

import unicodedata

# Characters that reorder or hide the characters around them: a name could imitate another.
_BIDI_CONTROLS = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
_BREAKS = {"Cc", "Zl", "Zp"}
_INVISIBLE = {"Cs", "Cn"}


def sanitize_text(text: str) -> str:
    """Return one line without control characters, in NFC, with runs of blanks collapsed.

    Line breaks become blanks, so that a user's text cannot start a new header.
    """
    if text.isascii() and text.isprintable():  # the usual case
        return " ".join(text.split())
    kept = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category in _BREAKS:
            kept.append(" ")
        elif category not in _INVISIBLE and character not in _BIDI_CONTROLS:
            kept.append(character)
    return " ".join("".join(kept).split())
