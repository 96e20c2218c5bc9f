"""Read a user by id."""

from uuid import UUID

from identity.application.ports import Users
from identity.domain.actor import Actor
from identity.domain.errors import UserNotFound
from identity.domain.user import User


async def get_user(actor: Actor, user_id: UUID | None, *, users: Users) -> User:
    """Read oneself, or anybody as an admin; None stands for an id that cannot exist.

    Raises:
        Forbidden: somebody else's account, and not an admin.
        UserNotFound: no such user.
    """
    actor.must_be_admin_or(user_id)
    user = await users.get(user_id) if user_id else None
    if user is None:
        raise UserNotFound
    return user
