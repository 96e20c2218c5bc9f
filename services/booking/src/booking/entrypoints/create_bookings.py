"""Creation of bookings over gRPC, one or many in a call, with a result for each request."""

from collections import Counter
from collections.abc import Iterable, Sequence

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket_kernel.errors import DomainError, FieldError
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from goticket_platform.rpc.errors import INTERNAL, UNAVAILABLE, public_metadata
from prometheus_client import Counter as Metric

from booking.application.booking_context import BookingResult, CreatedBooking
from booking.application.booking_submitter import BookingSubmitter
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import InvalidBooking
from booking.entrypoints.grpc_errors import ERRORS, with_public_fields
from booking.entrypoints.requests import command_of, has_only_quantity
from booking.wire import event_snapshot, write_booking

MAX_REQUESTS = 1_000

RESULTS = Metric("goticket_booking_requests", "Decided requests for bookings", ["result"])

logger = get_logger(__name__)


async def create_booking(
    request: pb.CreateBookingRequest, submitter: BookingSubmitter, deadline: float
) -> pb.CreateBookingResponse:
    """Create one booking.

    Raises:
        Exception: the error of the request.
    """
    [result] = await _submit([request], submitter, deadline)
    if isinstance(result, Exception):
        raise result
    response = pb.CreateBookingResponse()
    _write_created(result, event_snapshot(result.event), response)
    return response


async def batch_create_bookings(
    requests: Sequence[pb.CreateBookingRequest], submitter: BookingSubmitter, deadline: float
) -> pb.BatchCreateBookingsResponse:
    """Create bookings for any events; requests for one event are decided in their order.

    Raises:
        InvalidBooking: more than MAX_REQUESTS requests.
    """
    if len(requests) > MAX_REQUESTS:
        problem = FieldError("requests", f"Must have at most {MAX_REQUESTS} entries.")
        raise InvalidBooking(fields=[problem])
    results = await _submit(requests, submitter, deadline)
    # Many requests of a batch share one error.
    failed = {result for result in results if isinstance(result, Exception)}
    errors = {failure: _batch_error(failure) for failure in failed}
    # Bookings of one commit share the Event object; a search for equal ones would cost more.
    created = [result for result in results if isinstance(result, CreatedBooking)]
    events = {id(result.event): result.event for result in created}
    snapshots = {number: event_snapshot(event) for number, event in events.items()}
    response = pb.BatchCreateBookingsResponse()
    for result in results:
        if isinstance(result, Exception):
            response.results.add(error=errors[result])
        else:
            snapshot = snapshots[id(result.event)]
            _write_created(result, snapshot, response.results.add().created)
    return response


async def _submit(
    requests: Sequence[pb.CreateBookingRequest], submitter: BookingSubmitter, deadline: float
) -> list[BookingResult]:
    """Submit all requests that can be read; return a result for each request."""
    unreadable: list[DomainError | None] = []
    commands: list[CreateBookingCommand] = []
    for request in requests:
        try:
            commands.append(command_of(request))
            unreadable.append(None)
        except DomainError as refusal:
            unreadable.append(refusal)
    submitted = iter(await submitter.submit(commands, deadline))
    results = [next(submitted) if refusal is None else refusal for refusal in unreadable]
    _count(results)
    return [
        with_public_fields(result, only_quantity=has_only_quantity(request))
        if isinstance(result, DomainError)
        else result
        for request, result in zip(requests, results, strict=True)
    ]


def _write_created(
    result: CreatedBooking, snapshot: pb.EventSnapshot, response: pb.CreateBookingResponse
) -> None:
    write_booking(result.booking, snapshot, response.booking)
    response.replayed = result.replayed


def _batch_error(error: Exception) -> pb.BatchError:
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


def _count(results: Iterable[BookingResult]) -> None:
    for name, count in Counter(map(_name, results)).items():
        RESULTS.labels(name).inc(count)


def _name(result: BookingResult) -> str:
    if isinstance(result, CreatedBooking):
        return "replayed" if result.replayed else "created"
    return result.code if isinstance(result, DomainError) else "failed"
