"""Fixtures of the end-to-end tests: the running system, people and clients."""

from collections.abc import AsyncIterator

import httpx
import pytest
from goticket_testing.stack import RunningStack
from goticket_testing.world import Inbox, People, Person


@pytest.fixture(scope="session")
def people(stack: RunningStack) -> People:
    environment = stack.environment("identity serve")
    return People(
        environment["IDENTITY_SIGNING_KEY"],
        environment["IDENTITY_ISSUER"],
        environment["IDENTITY_AUDIENCE"],
    )


@pytest.fixture
def organizer(people: People) -> Person:
    return people.person("organizer")


@pytest.fixture
def buyer(people: People) -> Person:
    return people.person()


@pytest.fixture
async def api(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the public door."""
    limits = httpx.Limits(max_connections=250, max_keepalive_connections=250)
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=60, limits=limits) as client:
        yield client


@pytest.fixture
async def inbox(stack: RunningStack) -> AsyncIterator[Inbox]:
    async with httpx.AsyncClient(base_url=stack.inbox_url, timeout=30) as client:
        yield Inbox(client)
