"""Rules for the fields of an account."""

import unicodedata
from collections.abc import Callable

from goticket_kernel.text import PERSON_NAME, InvalidText
from goticket_kernel.text.characters import SPACES, category

PASSWORD_MIN_CHARACTERS = 8
PASSWORD_MAX_CHARACTERS = 128
_MAX_CODE_POINTS = 4 * PASSWORD_MAX_CHARACTERS
"""Of a password as it is typed. Composition makes one character of up to four code points."""

_REFUSED_CATEGORIES = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})

ParseEmail = Callable[[str], str]
"""Returns the one form of an address that is stored, compared and mailed to.

Raises InvalidText: what is wrong with the address.
"""


def prepare_password(password: str) -> str:
    """Return a password as it is hashed: OpaqueString of RFC 8265, 4.2.

    Any space becomes the plain one, and the form is NFC. So a password matches whatever keyboard
    it is typed with. Case and width of letters count. Unlike in RFC 8264, 9.11, joiners and
    variation selectors are allowed, because keyboards put them into emoji.

    Raises:
        InvalidText: the password is empty, far too long, or has characters that keyboards do not
            type or that a later version of Unicode may normalize in another way.
    """
    # First, so that a very long password costs nothing.
    if len(password) > _MAX_CODE_POINTS:
        raise InvalidText(f"must have at most {PASSWORD_MAX_CHARACTERS} characters")
    prepared = unicodedata.normalize("NFC", SPACES.sub(" ", password))
    if not prepared:
        raise InvalidText("must not be empty")
    if any(category(one) in _REFUSED_CATEGORIES for one in prepared):
        raise InvalidText("must not contain control characters or unknown characters")
    return prepared


def prepare_new_password(password: str) -> str:
    """Return the password of a new account as it is hashed.

    Raises:
        InvalidText: what is wrong with it.
    """
    prepared = prepare_password(password)
    if len(prepared) < PASSWORD_MIN_CHARACTERS:
        raise InvalidText(f"must have at least {PASSWORD_MIN_CHARACTERS} characters")
    if len(prepared) > PASSWORD_MAX_CHARACTERS:
        raise InvalidText(f"must have at most {PASSWORD_MAX_CHARACTERS} characters")
    return prepared


def prepare_name(name: str) -> str:
    """Return a person's name as it is stored.

    Raises:
        InvalidText: what is wrong with it.
    """
    return PERSON_NAME.prepare(name)
