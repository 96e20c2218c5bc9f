"""See to it that somebody can administer a new installation."""

from identity.application.ports import Clock, NewId, Passwords, Users
from identity.domain.user import Role, User, open_account


async def create_first_admin(
    email: str,
    password: str,
    *,
    users: Users,
    passwords: Passwords,
    now: Clock,
    new_id: NewId,
) -> User | None:
    """Open an admin's account at this address unless it has an account; return the new user.

    Whatever account is there stays as it is, password and roles: settings left
    behind must not undo a changed password, nor make an admin of whoever came first.

    Raises:
        InvalidAccount: the address or the password breaks a rule.
    """
    registered = open_account(
        user_id=new_id(),
        email=email,
        password=password,
        name="Administrator",
        now=now(),
        roles=[Role.ADMIN],
    )
    if await users.find(registered.user.email):
        return None
    password_hash = await passwords.hash(password)
    async with users.change() as change:
        # Replicas start together: the unique address lets one of them through.
        if not await change.add(registered.user, password_hash):
            return None
        await change.record(registered)
    return registered.user
