"""How users look in protos, for answers and for events alike."""

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.identity.v1 import identity_pb2

from identity.domain.user import Role, User


def user_message(user: User) -> identity_pb2.User:
    """Return the message for a user, roles in the order of the contract."""
    created_at = Timestamp()
    created_at.FromDatetime(user.created_at)
    return identity_pb2.User(
        id=str(user.id),
        email=user.email,
        name=user.name,
        roles=role_names(user),
        created_at=created_at,
    )


def role_names(user: User) -> list[str]:
    """Return the names of a user's roles, always in the same order."""
    return [role.value for role in Role if role in user.roles]
