"""Use case: find a user by e-mail address."""

from goticket_kernel.actor import Actor
from goticket_kernel.permissions import Permission, require_permission

from identity.application.ports import UserRepository
from identity.domain.errors import UserNotFound
from identity.domain.user import User
from identity.domain.validation import validate_email


async def find_user(actor: Actor, email: str, *, users: UserRepository) -> User:
    """Find a user by address, in any case.

    Raises:
        Forbidden: the actor is not an admin.
        UserNotFound: no account has this address.
    """
    require_permission(actor, Permission.FIND_USER)
    found = None if validate_email(email) else await users.find(email.lower())
    if found is None:
        raise UserNotFound
    return found.user
