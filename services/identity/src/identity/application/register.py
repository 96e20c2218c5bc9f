"""Open an account."""

from identity.application.ports import Clock, NewId, Passwords, Users
from identity.domain.errors import EmailTaken
from identity.domain.user import User, open_account


async def register(
    email: str,
    password: str,
    name: str,
    *,
    users: Users,
    passwords: Passwords,
    now: Clock,
    new_id: NewId,
) -> User:
    """Open an account with the role "user".

    Raises:
        InvalidAccount: fields email, password, name.
        EmailTaken: the address has an account, in whatever case it is written.
        Busy: too many passwords wait to be hashed.
    """
    registered = open_account(
        user_id=new_id(), email=email, password=password, name=name, now=now()
    )
    password_hash = await passwords.hash(password)  # slow: before the transaction, not in it
    async with users.change() as change:
        if not await change.add(registered.user, password_hash):
            raise EmailTaken
        await change.record(registered)
    return registered.user
