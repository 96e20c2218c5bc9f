"""Rules for e-mail addresses, passwords and names. Each function returns error messages."""

import re
import unicodedata

EMAIL_MAX_LENGTH = 254
"""Longest address that SMTP can carry (RFC 5321, 4.5.3.1.3), in characters."""
PASSWORD_MIN_BYTES = 8
PASSWORD_MAX_BYTES = 72
"""bcrypt ignores all bytes after these, so a longer password would be cut silently."""
NAME_MAX_LENGTH = 200

# The dot-atom form of RFC 5321 in ASCII with a domain of at least two labels. Quoted
# local parts and address literals are rejected.
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}")

_UNPRINTABLE_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that break a line, a header or a page: controls, surrogates, separators."""


def validate_email(email: str) -> list[str]:
    """Return what is wrong with an address. Capital letters are allowed."""
    if not email:
        return ["is required"]
    if len(email) > EMAIL_MAX_LENGTH:
        return [f"must be at most {EMAIL_MAX_LENGTH} characters"]
    # isascii first: lower() turns a few other letters (the Kelvin sign) into ASCII ones.
    if not email.isascii() or not _EMAIL.fullmatch(email.lower()):
        return ["must be an e-mail address"]
    return []


def validate_password(password: str) -> list[str]:
    """Return what is wrong with a new password."""
    size = len(password.encode("utf-8", "surrogatepass"))
    if size < PASSWORD_MIN_BYTES:
        return [f"must be at least {PASSWORD_MIN_BYTES} bytes long"]
    if size > PASSWORD_MAX_BYTES:
        return [f"must be at most {PASSWORD_MAX_BYTES} bytes long in UTF-8"]
    if "\0" in password:
        return ["must not contain NUL"]
    return []


def validate_name(name: str) -> list[str]:
    """Return what is wrong with a name. Spaces around it are ignored."""
    if not name.strip():
        return ["is required"]
    if len(name.strip()) > NAME_MAX_LENGTH:
        return [f"must be at most {NAME_MAX_LENGTH} characters"]
    if any(unicodedata.category(character) in _UNPRINTABLE_CATEGORIES for character in name):
        return ["must not contain control characters"]
    return []
