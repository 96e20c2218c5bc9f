"""Use case: create the first administrator of a new installation."""

from identity.application.ports import Clock, NewId, PasswordHasher, UserRepository
from identity.domain.user import Role, User, register_user
from identity.domain.validation import ParseEmail


async def create_first_admin(
    email: str,
    password: str,
    *,
    users: UserRepository,
    passwords: PasswordHasher,
    parse_email: ParseEmail,
    clock: Clock,
    new_id: NewId,
) -> User | None:
    """Create an admin with this address unless an account has it; return the new user.

    An existing account keeps its password and roles. Old settings must not revert a changed
    password, nor give the role to a user who registered this address earlier.

    Raises:
        InvalidAccount: the address or the password is not valid.
    """
    registration = register_user(
        user_id=new_id(),
        email=email,
        password=password,
        name="Administrator",
        now=clock(),
        parse_email=parse_email,
        roles=[Role.ADMIN],
    )
    registered = registration.registered
    if await users.find(registered.user.email):
        return None
    password_hash = await passwords.hash(registration.password)
    async with users.transaction() as transaction:
        # Replicas may start at the same time: the unique address lets one of them succeed.
        if not await transaction.add(registered.user, password_hash):
            return None
        await transaction.record(registered)
    return registered.user
