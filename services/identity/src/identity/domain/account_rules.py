"""What an e-mail address, a password and a name must look like."""

import re
import unicodedata

EMAIL_MAX = 254
"""Longest address SMTP can carry (RFC 5321, 4.5.3.1.3), in characters."""
PASSWORD_MIN_BYTES = 8
PASSWORD_MAX_BYTES = 72
"""bcrypt looks at no more bytes than these; a longer password would be cut unseen."""
NAME_MAX = 200

# The dot-atom form of RFC 5321 in ASCII with a domain of at least two labels:
# what mail servers deliver to. Quoted local parts and address literals are refused.
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}")

_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that break a line, a header or a page: controls, surrogates, separators."""


def email_problems(email: str) -> list[str]:
    """Say what is wrong with an address; upper case is not wrong."""
    if not email:
        return ["is required"]
    if len(email) > EMAIL_MAX:
        return [f"must be at most {EMAIL_MAX} characters"]
    # isascii first: lower() turns a few other letters (the Kelvin sign) into ASCII ones.
    if not email.isascii() or not _EMAIL.fullmatch(email.lower()):
        return ["must be an e-mail address"]
    return []


def password_problems(password: str) -> list[str]:
    """Say what is wrong with a new password."""
    size = len(password.encode("utf-8", "surrogatepass"))
    if size < PASSWORD_MIN_BYTES:
        return [f"must be at least {PASSWORD_MIN_BYTES} bytes long"]
    if size > PASSWORD_MAX_BYTES:
        return [f"must be at most {PASSWORD_MAX_BYTES} bytes long in UTF-8"]
    if "\0" in password:
        return ["must not contain NUL"]
    return []


def name_problems(name: str) -> list[str]:
    """Say what is wrong with a name; spaces around it do not count."""
    if not name.strip():
        return ["is required"]
    if len(name.strip()) > NAME_MAX:
        return [f"must be at most {NAME_MAX} characters"]
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return ["must not contain control characters"]
    return []
