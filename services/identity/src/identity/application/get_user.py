"""Use case: read a user by id."""

from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.permissions import Permission, require_permission

from identity.application.ports import UserRepository
from identity.domain.errors import UserNotFound
from identity.domain.user import User


async def get_user(actor: Actor, user_id: UUID, *, users: UserRepository) -> User:
    """Read a user. Users may read themselves, admins all users.

    Raises:
        Forbidden: the actor is neither this user nor an admin.
        UserNotFound: there is no such user.
    """
    require_permission(actor, Permission.READ_USER, owner_id=user_id)
    user = await users.get(user_id)
    if user is None:
        raise UserNotFound
    return user
