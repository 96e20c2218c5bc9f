"""Identity's domain errors. A docstring is the message that people read."""

from goticket_kernel.errors import DomainError


class InvalidAccount(DomainError):
    """Some fields are not valid."""

    code = "validation_failed"


class EmailTaken(DomainError):
    """An account with this e-mail address exists already."""

    code = "email_taken"


class InvalidCredentials(DomainError):
    """E-mail address or password is wrong."""

    # One message for both, so that it does not reveal which addresses have accounts.
    code = "invalid_credentials"


class SessionExpired(DomainError):
    """The session has ended; please log in again."""

    code = "session_expired"


class UserNotFound(DomainError):
    """There is no such user."""

    code = "user_not_found"


class LastAdmin(DomainError):
    """The last administrator cannot lose this role."""

    code = "last_admin"


class Busy(DomainError):
    """Too many logins at the moment; please try again shortly."""

    code = "busy"


class SessionStoreUnavailable(DomainError):
    """Sessions are unavailable at the moment; please try again shortly."""

    code = "unavailable"
