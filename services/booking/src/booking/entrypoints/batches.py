"""Batches of requests over gRPC: each request has the result of a call with it alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket_kernel.errors import DomainError, FieldError
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from goticket_platform.rpc.errors import INTERNAL, UNAVAILABLE, public_metadata

from booking.domain.errors import InvalidBooking
from booking.entrypoints.grpc_errors import ERRORS

RequestT = TypeVar("RequestT")
InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")

logger = get_logger(__name__)


def require_at_most(limit: int, requests: Sequence[object]) -> None:
    """Check the size of a batch.

    Raises:
        InvalidBooking: there are more requests.
    """
    if len(requests) > limit:
        problem = FieldError("requests", f"Must have at most {limit} entries.")
        raise InvalidBooking(fields=[problem])


async def execute_each(
    requests: Sequence[RequestT],
    parse: Callable[[RequestT], InputT],
    execute: Callable[[Sequence[InputT]], Awaitable[Sequence[ResultT]]],
) -> list[ResultT | DomainError]:
    """Execute all requests that can be parsed; return a result for each request in order."""
    unreadable: list[DomainError | None] = []
    inputs: list[InputT] = []
    for request in requests:
        try:
            inputs.append(parse(request))
            unreadable.append(None)
        except DomainError as error:
            unreadable.append(error)
    results = iter(await execute(inputs) if inputs else ())
    return [next(results) if error is None else error for error in unreadable]


def batch_error(error: Exception) -> pb.BatchError:
    """Return the error that the server's interceptor would return for this request alone."""
    if isinstance(error, DomainError) and (status := ERRORS.status_of(error)):
        return pb.BatchError(
            status=status.value[0],
            reason=error.code,
            message=str(error),
            fields=[pb.FieldViolation(field=f.field, message=f.message) for f in error.fields],
            metadata=public_metadata(error.metadata),
        )
    if is_transient(error):
        logger.warning("request failed for now", error=type(error).__name__)
        status, reason, message = grpc.StatusCode.UNAVAILABLE, UNAVAILABLE, "Try again in a moment."
    else:
        logger.error("request failed", exc_info=error)
        status, reason = grpc.StatusCode.INTERNAL, INTERNAL
        message = "Something went wrong on our side."
    return pb.BatchError(status=status.value[0], reason=reason, message=message)
