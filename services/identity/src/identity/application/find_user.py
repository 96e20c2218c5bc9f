"""Find a user by address."""

from identity.application.ports import Users
from identity.domain.account_rules import email_problems
from identity.domain.actor import Actor
from identity.domain.errors import UserNotFound
from identity.domain.user import User


async def find_user(actor: Actor, email: str, *, users: Users) -> User:
    """Find a user by address, in any case, as an admin.

    Raises:
        Forbidden: not an admin.
        UserNotFound: no account with that address.
    """
    actor.must_be_admin()
    known = None if email_problems(email) else await users.find(email.lower())
    if known is None:
        raise UserNotFound
    return known.user
