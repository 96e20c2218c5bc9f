"""Every way in which identity says no. A docstring is the message people read."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one input field, named as in the public JSON."""

    field: str
    message: str


class DomainError(Exception):
    """The request is refused."""

    code = "refused"

    def __init__(self, message: str | None = None, fields: Sequence[FieldError] = ()) -> None:
        super().__init__(message or type(self).__doc__)
        self.fields = tuple(fields)


class InvalidAccount(DomainError):
    """Some fields are not valid."""

    code = "validation_failed"

    def __init__(self, fields: Sequence[FieldError]) -> None:
        super().__init__(fields=fields)


class EmailTaken(DomainError):
    """An account with this e-mail address exists already."""

    code = "email_taken"


class InvalidCredentials(DomainError):
    """E-mail address or password is wrong."""

    # One answer for both: which addresses have accounts is nobody's business.
    code = "invalid_credentials"


class SessionExpired(DomainError):
    """The session has ended; please log in again."""

    code = "session_expired"


class UserNotFound(DomainError):
    """There is no such user."""

    code = "user_not_found"


class Forbidden(DomainError):
    """You are not allowed to do this."""

    code = "forbidden"


class LastAdmin(DomainError):
    """The last administrator has to stay one."""

    code = "last_admin"


class Busy(DomainError):
    """Too many people are logging in at once; please try again in a moment."""

    code = "busy"


class Unavailable(DomainError):
    """Sessions cannot be reached right now; please try again in a moment."""

    code = "unavailable"
