"""Prepares a text that people see, or says what is wrong with it."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from goticket_kernel.text import characters

BYTES_PER_CHARACTER: Final = 4
"""A text of the greatest length may have so many bytes of UTF-8 for each character."""
MAX_MARKS: Final = 10
"""Combining marks on one character. Tibetan and pointed Hebrew need fewer."""

# Hints where a line may break: they carry nothing, and come with text pasted from pages.
_BREAK_HINTS = re.compile("[\u00ad\u200b\u2060\ufeff]")
_LINE_BREAKS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
# The flags of England, Scotland and Wales: the only use of tags (UTS #51, ED-14a).
_TAGGED_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_BLACK_FLAG = "\U0001f3f4"


class InvalidText(ValueError):
    """A text breaks its rule; the message is what is wrong, without a subject."""


@dataclass(frozen=True, slots=True)
class TextRule:
    """How one kind of text is prepared.

    `max_characters` counts characters as people see them: a family of emoji is one. A text has
    at most `max_bytes` in UTF-8, too.
    """

    max_characters: int
    required: bool = True
    multiline: bool = False

    @property
    def max_bytes(self) -> int:
        """The greatest size in UTF-8."""
        return self.max_characters * BYTES_PER_CHARACTER

    def prepare(self, text: str) -> str:
        """Return the text in its stored form; preparing that again changes nothing.

        The form is NFC. Spaces of any kind become one plain space each, those around the text
        or a line are removed, and hints for line breaks too. In a text of one line, several
        spaces become one (RFC 8266, 2.1).

        Raises:
            InvalidText: the text is empty but required, too long, or has invisible
                characters, or marks and controls of direction out of their place.
        """
        # First, because the others look at each character.
        if len(text) > 2 * self.max_bytes:
            raise InvalidText(f"must have at most {self.max_characters} characters")
        text = self._normalized(text)
        if not text:
            if self.required:
                raise InvalidText("must not be empty")
            return text
        if not self.multiline and (found := re.search("[\t\n]", text)):
            raise InvalidText(_out_of_place(found[0]))
        for line in text.split("\n") if self.multiline else [text]:
            _check_characters(line)
        if not _has_shape(text):
            raise InvalidText("must have a visible character")
        self._check_length(text)
        return text

    def _normalized(self, text: str) -> str:
        if self.multiline:
            text = _LINE_BREAKS.sub("\n", text)
        text = unicodedata.normalize("NFC", _BREAK_HINTS.sub("", text))
        text = characters.SPACES.sub(" ", text)
        if self.multiline:
            return "\n".join(line.rstrip(" \t") for line in text.split("\n")).strip(" \t\n")
        return re.sub(" +", " ", text).strip(" ")

    def _check_length(self, text: str) -> None:
        if visible_length(text) > self.max_characters:
            raise InvalidText(f"must have at most {self.max_characters} characters")
        if len(text.encode()) > self.max_bytes:
            raise InvalidText(f"must have at most {self.max_bytes} bytes in UTF-8")


def visible_length(text: str) -> int:
    """Count characters as people see them: UAX #29, without its rarer rules."""
    if all(map(characters.is_plain, set(text))):
        return len(text)
    count = 0
    joined = half_flag = False
    for one in text:
        if characters.is_regional_indicator(one):
            half_flag = not half_flag
            count += half_flag
        elif characters.continues_character(one):
            joined = one == characters.ZERO_WIDTH_JOINER
            continue
        else:
            count += not (joined and characters.is_emoji_part(one))
            half_flag = False
        joined = False
    return count


def comparison_key(text: str) -> str:
    """Return the same text for prepared texts that people take for the same one.

    Case and width of letters, joiners, variants and the controls of direction do not count
    (RFC 8266, 2.4).
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(one for one in folded if not characters.is_unseen(one))


def _has_shape(text: str) -> bool:
    return any(
        not one.isspace()
        and not characters.continues_character(one)
        and one not in characters.DIRECTION_CONTROLS
        for one in text
    )


def _check_characters(line: str) -> None:
    """Check each character of a line in its place."""
    if all(map(characters.is_plain, set(line))):
        return
    _check_directions(line)
    # Tags stand after a black flag; together they are one character.
    line = _TAGGED_FLAG.sub(_BLACK_FLAG, line)
    previous, marks = "", 0
    for one, following in zip(line, [*line[1:], ""], strict=True):
        marks = marks + 1 if characters.is_mark(one) else 0
        if marks > MAX_MARKS:
            raise InvalidText(f"must have at most {MAX_MARKS} combining marks on one character")
        if not _is_in_place(one, previous, following):
            raise InvalidText(_out_of_place(one))
        previous = one


def _check_directions(line: str) -> None:
    """Check that each isolate ends in its line, as UAX #9 ends it there anyway."""
    depth = 0
    for one in line:
        if one in characters.ISOLATE_STARTS:
            depth += 1
        elif one == characters.ISOLATE_END:
            depth -= 1
        if depth < 0:
            break
    if depth:
        raise InvalidText("must end every direction of writing that it begins, in the same line")


def _is_in_place(one: str, previous: str, following: str) -> bool:
    if one in characters.DIRECTION_CONTROLS or one == "\t":
        return True
    if one in characters.JOINERS:
        return characters.may_join(previous, one, following)
    if characters.is_selector(one):
        return bool(previous) and characters.may_precede_selector(previous, one)
    if characters.is_mark(one) and (not previous or previous in " \t"):
        return False
    return not characters.is_shapeless(one)


def _out_of_place(one: str) -> str:
    code_point = f"U+{ord(one):04X}"
    if unicodedata.category(one) in {"Cc", "Zl", "Zp"}:
        return f"must not contain control characters ({code_point})"
    if characters.is_mark(one) and not characters.is_selector(one):
        return f"must not have a combining mark without its letter ({code_point})"
    return f"must not contain invisible or unknown characters ({code_point})"


PERSON_NAME: Final = TextRule(200)
EVENT_NAME: Final = TextRule(200)
TICKET_TYPE_NAME: Final = TextRule(100)
SEARCH: Final = TextRule(200, required=False)
LOCATION: Final = TextRule(300, required=False)
DESCRIPTION: Final = TextRule(10_000, required=False, multiline=True)
