"""Translates the fields that the domain names in errors to the names of the public JSON."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from goticket_kernel.errors import DomainError, FieldError

P = ParamSpec("P")
R = TypeVar("R")

_JSON_NAMES = {
    "starts_at": "startAt",
    "ends_at": "endAt",
    "ticket_types": "ticketTypes",
    "max_per_booking": "maxPerBooking",
    "max_per_buyer": "maxPerBuyer",
    "query": "q",
    "organizer_id": "organizerId",
    "event_ids": "eventIds",
}


def with_json_field_names(call: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Wrap a gRPC method: the field errors that it raises get the names of the public JSON."""

    @wraps(call)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await call(*args, **kwargs)
        except DomainError as error:
            error.fields = tuple(
                FieldError(json_path(field.field), field.message) for field in error.fields
            )
            raise

    return wrapped


def json_path(path: str) -> str:
    """Translate a path such as "ticket_types[0].max_per_buyer"."""
    return ".".join(map(_json_segment, path.split(".")))


def _json_segment(segment: str) -> str:
    name, bracket, index = segment.partition("[")
    return _JSON_NAMES.get(name, name) + bracket + index
