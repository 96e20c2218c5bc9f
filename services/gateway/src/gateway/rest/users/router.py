"""Users and their roles."""

from typing import Annotated

from fastapi import APIRouter, Query
from goticket_platform.rpc.errors import RemoteError

from gateway.http.openapi import problems
from gateway.rest.auth.schemas import RolesChange, UserOut, UserPage
from gateway.rest.dependencies import Identity, UserId
from gateway.rest.routes import HeadFirstRoute
from gateway.rest.schemas import Email
from gateway.security.authentication import AnyCaller, RolesSetter, UserFinder

router = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=HeadFirstRoute)


@router.get("/me", summary="Read the caller's account", responses=problems("user_not_found"))
async def get_me(caller: AnyCaller, identity: Identity) -> UserOut:
    """The caller's account, with the roles as they are now."""
    return UserOut.of(await identity.get_user(caller.actor, caller.user_id))


@router.get("", summary="Find a user", responses=problems("forbidden"))
async def find_users(
    caller: UserFinder,
    email: Annotated[Email, Query(description="Exact address, any case.")],
    identity: Identity,
) -> UserPage:
    """The user with this address, or an empty page. Role: admin."""
    try:
        user = await identity.find_user(caller.actor, email)
    except RemoteError as error:
        if error.code != "user_not_found":
            raise
        return UserPage(items=[], next_cursor=None)
    return UserPage(items=[UserOut.of(user)], next_cursor=None)


@router.put(
    "/{user_id}/roles",
    summary="Set a user's roles",
    responses=problems("forbidden", "user_not_found", "last_admin"),
)
async def set_roles(
    caller: RolesSetter, user_id: UserId, body: RolesChange, identity: Identity
) -> UserOut:
    """Replaces all roles; tokens already issued keep theirs until they end. Role: admin."""
    return UserOut.of(await identity.set_roles(caller.actor, user_id, body.roles))
