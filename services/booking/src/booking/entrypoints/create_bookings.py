"""Creation of bookings over gRPC, one or many in a call, with a result for each request."""

from collections import Counter
from collections.abc import Iterable, Sequence

from goticket.booking.v1 import booking_pb2 as pb
from goticket_kernel.errors import DomainError
from prometheus_client import Counter as Metric

from booking.application.booking_context import BookingResult, CreatedBooking
from booking.application.booking_submitter import BookingSubmitter
from booking.entrypoints.batches import batch_error, execute_each, require_at_most
from booking.entrypoints.grpc_errors import with_public_fields
from booking.entrypoints.requests import command_of, has_only_quantity
from booking.wire import event_snapshot, write_booking

MAX_REQUESTS = 1_000

RESULTS = Metric("goticket_booking_requests", "Decided requests for bookings", ["result"])


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
    require_at_most(MAX_REQUESTS, requests)
    results = await _submit(requests, submitter, deadline)
    # Many requests of a batch share one error.
    failed = {result for result in results if isinstance(result, Exception)}
    errors = {failure: batch_error(failure) for failure in failed}
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
    results = await execute_each(
        requests, command_of, lambda commands: submitter.submit(commands, deadline)
    )
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


def _count(results: Iterable[BookingResult]) -> None:
    for name, count in Counter(map(_name, results)).items():
        RESULTS.labels(name).inc(count)


def _name(result: BookingResult) -> str:
    if isinstance(result, CreatedBooking):
        return "replayed" if result.replayed else "created"
    return result.code if isinstance(result, DomainError) else "failed"
