"""Accounts and sessions."""

from fastapi import APIRouter, Response

from gateway.http.openapi import problems
from gateway.rest.auth.schemas import Credentials, RefreshToken, Registration, TokensOut, UserOut
from gateway.rest.dependencies import Exchange, Identity, Limits
from gateway.rest.routes import HeadFirstRoute

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=HeadFirstRoute)


@router.post(
    "/register", status_code=201, summary="Create an account", responses=problems("email_taken")
)
async def register(body: Registration, identity: Identity) -> UserOut:
    """The new account has the role `user`; an admin can grant more."""
    user = await identity.register(email=body.email, password=body.password, name=body.name)
    return UserOut.of(user)


@router.post("/login", summary="Log in", responses=problems("invalid_credentials"))
async def login(
    body: Credentials, identity: Identity, limits: Limits, exchange: Exchange
) -> TokensOut:
    """Exchange e-mail address and password for tokens. Failures are limited."""
    async with limits.login(exchange, body.email):
        return TokensOut.of(await identity.login(email=body.email, password=body.password))


@router.post(
    "/refresh", summary="Renew tokens", responses=problems("session_expired", "token_invalid")
)
async def refresh(body: RefreshToken, identity: Identity) -> TokensOut:
    """Exchange a refresh token for new tokens; the old one becomes invalid."""
    return TokensOut.of(await identity.refresh(body.refresh_token))


@router.post("/logout", status_code=204, summary="Log out", response_class=Response)
async def logout(body: RefreshToken, identity: Identity) -> None:
    """End the session. Ending it twice changes nothing."""
    await identity.logout(body.refresh_token)
