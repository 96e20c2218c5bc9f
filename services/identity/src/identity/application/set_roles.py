"""Change what a user may do."""

from collections.abc import Sequence
from uuid import UUID

from identity.application.ports import Users
from identity.domain.actor import Actor
from identity.domain.errors import Forbidden, UserNotFound
from identity.domain.user import User


async def set_roles(
    actor: Actor, user_id: UUID | None, roles: Sequence[str], *, users: Users
) -> User:
    """Give a user exactly these roles, and "user".

    Raises:
        Forbidden: the actor is not an admin, or not any more: an access token
            outlives a demotion by minutes and must not be enough to undo it.
        UserNotFound: no such user.
        InvalidAccount: field roles: a role does not exist.
        LastAdmin: nobody would be left to administer.
    """
    actor.must_be_admin()
    if user_id is None:  # an id that cannot exist
        raise UserNotFound
    async with users.change() as change:
        locked = await change.lock(user_id)
        if actor.user_id not in locked.admins:
            raise Forbidden
        if locked.user is None:
            raise UserNotFound
        changed = locked.user.with_roles(roles, locked.admins)
        if changed is not locked.user:
            await change.save_roles(changed)
    return changed
