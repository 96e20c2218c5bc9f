"""Use case: find a user by e-mail address."""

from goticket_kernel.actor import Actor
from goticket_kernel.permissions import Permission, require_permission
from goticket_kernel.text import InvalidText

from identity.application.ports import Credentials, UserRepository
from identity.domain.errors import UserNotFound
from identity.domain.user import User
from identity.domain.validation import ParseEmail


async def find_user(
    actor: Actor, email: str, *, users: UserRepository, parse_email: ParseEmail
) -> User:
    """Find a user by address, in whatever form it is typed.

    Raises:
        Forbidden: the actor is not an admin.
        UserNotFound: no account has this address.
    """
    require_permission(actor, Permission.FIND_USER)
    found = await find_by_email(email, users=users, parse_email=parse_email)
    if found is None:
        raise UserNotFound
    return found.user


async def find_by_email(
    email: str, *, users: UserRepository, parse_email: ParseEmail
) -> Credentials | None:
    """Return the account with this address; None if there is none, or can be none."""
    try:
        address = parse_email(email)
    except InvalidText:
        return None
    return await users.find(address)
