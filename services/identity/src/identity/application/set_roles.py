"""Use case: change the roles of a user."""

from collections.abc import Sequence
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import Forbidden
from goticket_kernel.permissions import Permission, require_permission

from identity.application.ports import UserRepository
from identity.domain.errors import UserNotFound
from identity.domain.user import User


async def set_roles(
    actor: Actor, user_id: UUID, roles: Sequence[str], *, users: UserRepository
) -> User:
    """Give a user exactly these roles, and "user".

    Raises:
        Forbidden: the actor is not an admin, or no longer one. An access token stays valid
            for minutes after the role was removed, and must not suffice to restore it.
        UserNotFound: there is no such user.
        InvalidAccount: field roles: a role does not exist.
        LastAdmin: no administrator would remain.
    """
    require_permission(actor, Permission.SET_ROLES)
    async with users.transaction() as transaction:
        locked = await transaction.lock(user_id)
        if actor.user_id not in locked.admins:
            raise Forbidden
        if locked.user is None:
            raise UserNotFound
        changed = locked.user.with_roles(roles, locked.admins)
        if changed is not locked.user:
            await transaction.save_roles(changed)
    return changed
