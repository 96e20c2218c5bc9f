"""The document of the API lists exactly the problems that a route can answer.

What a route can answer is derived from the code, in both directions: the errors that the route,
the calls that it makes and the services behind them name. See `error_flow.py`. So an error that
is raised in a service and not listed fails here, and so does a code that nothing raises.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from booking.entrypoints.grpc import BookingService
from catalog.entrypoints.grpc import CatalogService
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from gateway.http import middleware
from gateway.http.openapi import (
    BACKEND_CODES,
    BODY_CODES,
    HEAD_CODES,
    LIMIT_CODES,
    TOKEN_CODES,
)
from gateway.rest.auth import router as auth
from gateway.rest.bookings import router as bookings
from gateway.rest.check_in import router as check_in
from gateway.rest.events import router as events
from gateway.rest.keys import router as keys
from gateway.rest.tickets import router as tickets
from gateway.rest.users import router as users
from goticket_kernel.errors import DomainError
from identity.entrypoints.grpc import IdentityServicer

from tests.architecture.error_flow import Package, tree_of

SERVICES = {"booking": BookingService, "catalog": CatalogService, "identity": IdentityServicer}
ROUTERS = [module.router for module in (auth, bookings, check_in, events, keys, tickets, users)]

ADDED_CODES = frozenset(
    {
        "internal",
        "validation_failed",
        *BACKEND_CODES,
        *BODY_CODES,
        *HEAD_CODES,
        *LIMIT_CODES,
        *TOKEN_CODES,
    }
)
"""The document adds them to operations by their kind: see `openapi._complete`."""

WITHOUT_ROUTE = frozenset(
    {"not_found", "method_not_allowed", "not_implemented", "http_version_not_supported"}
)
"""Problems of addresses, methods and versions of HTTP that belong to no operation."""

CALLED_BY_SUBMITTER = {"POST /api/v1/events/{event_id}/bookings": "CreateBooking"}
"""The submitters receive the call as a function from `bootstrap`."""

UNREACHABLE = {
    ("CreateEvent", "stale_version"): "a first version replaces none",
    ("CancelEvent", "capacity_below_taken"): "a cancellation changes no capacity",
    ("ConfirmBooking", "sold_out"): "held tickets become sold, which takes none",
    ("ExtendHold", "sold_out"): "it takes no tickets",
    ("CancelBooking", "sold_out"): "it returns tickets",
    ("GetAvailability", "sold_out"): "it takes no tickets",
    ("GetUser", "forbidden"): "the gateway reads the caller's own account",
    ("GET /api/v1/bookings", "event_not_found"): "it names no event",
    ("GET /api/v1/bookings", "forbidden"): "any caller may list their own bookings",
    **{
        ("GET /api/v1/tickets/{ticket_id}/ticket.pdf", code): "`close` is a coroutine's here"
        for code in ("sold_out", "event_not_found")
    },
    ("FindUser", "user_not_found"): "the gateway answers an empty page",
}
"""What an RPC names and the gateway cannot get from it, with the reason."""


def code_of(target: Any) -> str | None:
    is_error = isinstance(target, type) and issubclass(target, DomainError)
    return getattr(target, "code", None) if is_error else None


@pytest.fixture(scope="module")
def rpc_codes() -> dict[str, frozenset[str]]:
    """The codes of each RPC."""
    found = {}
    for name, servicer in SERVICES.items():
        package = Package(name, "goticket_kernel", code_of=code_of)
        for method, function in list(vars(servicer).items()):
            if method[0].isupper():
                found[method] = package.codes(function)
    return found


@pytest.fixture(scope="module")
def gateway() -> Package:
    return Package("gateway", code_of=lambda _target: None)


def routes() -> Iterator[tuple[str, APIRoute]]:
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for method in route.methods or ():
                    yield f"{method} {route.path}", route


ROUTES = dict(routes())


def dependencies(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for each in dependant.dependencies:
        if each.call is not None:
            yield each.call
        yield from dependencies(each)


def rpcs(functions: Iterable[Any]) -> set[str]:
    """The RPCs that functions call: the attributes of `self._stub`."""
    return {
        node.attr
        for function in functions
        for node in ast.walk(tree_of(function))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "_stub"
    }


def answered(name: str, gateway: Package, rpc_codes: dict[str, frozenset[str]]) -> set[str]:
    """The codes that a route can answer with, apart from ADDED_CODES."""
    codes = named(name, gateway, rpc_codes)
    return {code for code in codes if (name, code) not in UNREACHABLE} - ADDED_CODES


def named(name: str, gateway: Package, rpc_codes: dict[str, frozenset[str]]) -> set[str]:
    """The codes that a route, what it calls, and its path name."""
    route = ROUTES[name]
    functions = (route.endpoint, *dependencies(route.dependant))
    codes = set(gateway.codes(*functions))
    called = rpcs(gateway.reachable(*functions))
    if name in CALLED_BY_SUBMITTER:
        called.add(CALLED_BY_SUBMITTER[name])
    for rpc in called:
        codes |= {code for code in rpc_codes[rpc] if (rpc, code) not in UNREACHABLE}
    codes |= {
        f"{part.removesuffix('_id')}_not_found"
        for part in route.param_convertors
        if part.endswith("_id")
    }
    return codes


def listed(name: str) -> set[str]:
    """The codes that the declaration of a route lists."""
    return {
        code
        for status, answer in ROUTES[name].responses.items()
        if int(status) >= 400
        for media in answer["content"].values()
        for code in media["examples"]
    }


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_lists_exactly_the_problems_that_it_can_answer(
    name: str, gateway: Package, rpc_codes: dict[str, frozenset[str]]
) -> None:
    can_answer = answered(name, gateway, rpc_codes)
    assert listed(name) - ADDED_CODES == can_answer


def test_every_exception_is_needed(gateway: Package, rpc_codes: dict[str, frozenset[str]]) -> None:
    assert [
        (name, code)
        for name, code in UNREACHABLE
        if code not in (rpc_codes.get(name) or named(name, gateway, rpc_codes))
    ] == []


@pytest.mark.parametrize(
    ("rpc", "code"),
    [
        ("ExtendHold", "hold_already_extended"),  # raised by a method of a domain object
        ("CreateBooking", "too_many_holds"),  # raised in the transaction of a batch
        ("BatchGetTickets", "forbidden"),  # a result instead of an exception
        ("SetRoles", "last_admin"),
    ],
)
def test_the_analysis_finds_errors_at_any_depth(
    rpc_codes: dict[str, frozenset[str]], rpc: str, code: str
) -> None:
    assert code in rpc_codes[rpc]


def test_every_problem_of_the_http_layer_is_added_to_operations() -> None:
    """The middleware and the protocol answer before any route is known."""
    folder = Path(inspect.getfile(middleware)).parent
    raised = {
        node.args[0].value
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Problem"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert raised - ADDED_CODES <= WITHOUT_ROUTE
