"""The class of all routes: refuses by the head of a request before its body is read.

FastAPI reads and parses the body first, and solves the dependencies afterwards. So a request
without a token, without a required role or with an impossible id would be refused only after
its largest part was read.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from fastapi.routing import APIRoute
from goticket_platform.ids import parse_id

from gateway.http.problems import Problem
from gateway.security.authentication import (
    RequireRoleFor,
    optional_caller,
    required_caller,
)

_ID = "_id"

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class HeadFirstRoute(APIRoute):
    """Checks caller, role and ids of the path before FastAPI reads the body."""

    def get_route_handler(self) -> Handler:
        """Return the handler of requests."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        check_caller = _caller_check(self.dependant)

        async def check_and_handle(request: Request) -> Response:
            await check_caller(request)
            _check_ids(request)
            return await handle(request)

        return check_and_handle


def _caller_check(dependant: Dependant) -> Callable[[Request], Awaitable[None]]:
    calls = list(_calls(dependant))
    role = next((call for call in calls if isinstance(call, RequireRoleFor)), None)
    is_required = required_caller in calls
    is_read = optional_caller in calls

    async def check(request: Request) -> None:
        if not is_read:
            return
        caller = await optional_caller(request, None)
        if is_required:
            caller = await required_caller(caller)
            if role is not None:
                await role(caller)

    return check


def _calls(dependant: Dependant) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)


def _check_ids(request: Request) -> None:
    """Check the ids of the path, as `dependencies.EventId` and its like do later.

    Raises:
        Problem: an id is not a UUID, so that there is no such resource.
    """
    for name, text in request.path_params.items():
        if name.endswith(_ID):
            try:
                parse_id(text)
            except ValueError:
                raise Problem(f"{name.removesuffix(_ID)}_not_found") from None
