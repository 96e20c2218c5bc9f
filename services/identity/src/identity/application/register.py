"""Use case: create an account."""

from identity.application.ports import Clock, NewId, PasswordHasher, UserRepository
from identity.domain.errors import EmailTaken
from identity.domain.user import User, register_user
from identity.domain.validation import ParseEmail


async def register(
    email: str,
    password: str,
    name: str,
    *,
    users: UserRepository,
    passwords: PasswordHasher,
    parse_email: ParseEmail,
    clock: Clock,
    new_id: NewId,
) -> User:
    """Create an account with the role "user".

    Raises:
        InvalidAccount: fields email, password, name.
        EmailTaken: an account has this address, in whatever form it is typed.
        Busy: too many passwords are waiting to be hashed.
    """
    registration = register_user(
        user_id=new_id(),
        email=email,
        password=password,
        name=name,
        now=clock(),
        parse_email=parse_email,
    )
    registered = registration.registered
    if await users.find(registered.user.email):
        raise EmailTaken  # before the hash, which costs a thousand times more
    # Slow, so before the transaction.
    password_hash = await passwords.hash(registration.password)
    async with users.transaction() as transaction:
        if not await transaction.add(registered.user, password_hash):
            raise EmailTaken
        await transaction.record(registered)
    return registered.user
