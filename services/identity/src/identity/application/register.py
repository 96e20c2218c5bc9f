"""Use case: create an account."""

from identity.application.ports import Clock, NewId, PasswordHasher, UserRepository
from identity.domain.errors import EmailTaken
from identity.domain.user import User, register_user


async def register(
    email: str,
    password: str,
    name: str,
    *,
    users: UserRepository,
    passwords: PasswordHasher,
    clock: Clock,
    new_id: NewId,
) -> User:
    """Create an account with the role "user".

    Raises:
        InvalidAccount: fields email, password, name.
        EmailTaken: an account has this address, in any case.
        Busy: too many passwords are waiting to be hashed.
    """
    registered = register_user(
        user_id=new_id(), email=email, password=password, name=name, now=clock()
    )
    if await users.find(registered.user.email):
        raise EmailTaken  # before the hash, which costs a thousand times more
    password_hash = await passwords.hash(password)  # slow, so before the transaction
    async with users.transaction() as transaction:
        if not await transaction.add(registered.user, password_hash):
            raise EmailTaken
        await transaction.record(registered)
    return registered.user
