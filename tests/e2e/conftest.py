"""Fixtures of the end-to-end tests: users, an API client and the mailbox."""

import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from goticket_testing.clients import ApiUser, ApiUserFactory, Mailbox, address_header
from goticket_testing.stack import RunningStack


@pytest.fixture(scope="session")
def users(stack: RunningStack) -> ApiUserFactory:
    environment = stack.environment("identity serve")
    return ApiUserFactory(
        environment["IDENTITY_SIGNING_KEY"],
        environment["IDENTITY_ISSUER"],
        environment["IDENTITY_AUDIENCE"],
    )


@pytest.fixture
def organizer(users: ApiUserFactory) -> ApiUser:
    return users.create("organizer")


@pytest.fixture
def buyer(users: ApiUserFactory) -> ApiUser:
    return users.create()


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway, with an address of its own: the limits of tests are apart."""
    headers = address_header(uuid.uuid4().int)
    limits = httpx.Limits(max_connections=250, max_keepalive_connections=250)
    async with httpx.AsyncClient(
        base_url=stack.base_url, timeout=60, limits=limits, headers=headers
    ) as client:
        yield client


@pytest.fixture
async def mailbox(stack: RunningStack) -> AsyncIterator[Mailbox]:
    async with httpx.AsyncClient(base_url=stack.mailbox_url, timeout=30) as client:
        yield Mailbox(client)
