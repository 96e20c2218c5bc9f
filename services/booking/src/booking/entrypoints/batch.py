"""Many requests for tickets in one call: a result for each, as its own call would give."""

from collections import Counter
from collections.abc import Iterable, Sequence

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from goticket_platform.rpc.errors import INTERNAL, UNAVAILABLE
from goticket_platform.telemetry import inject_context
from prometheus_client import Counter as Metric

from booking.application.booking_submitter import BookingSubmitter
from booking.application.place_bookings import Answered, Asked
from booking.application.place_orders import Placed
from booking.domain.errors import DomainError, EventNotFound, FieldError, InvalidBooking
from booking.entrypoints.grpc_errors import ERRORS
from booking.entrypoints.requests import booking_request_of, id_of
from booking.wire import event_snapshot, write_booking

MAX_REQUESTS = 1_000

ANSWERS = Metric("goticket_booking_requests", "Requests for tickets decided", ["answer"])

logger = get_logger(__name__)


async def create_booking(
    request: pb.CreateBookingRequest, submitter: BookingSubmitter, deadline: float
) -> pb.CreateBookingResponse:
    """Answer one request, or raise what it is refused with."""
    event_id = id_of(request.event_id, EventNotFound)
    wanted = booking_request_of(request, inject_context())
    [answer] = await submitter.submit([(event_id, wanted)], deadline)
    _count([answer])
    if isinstance(answer, Exception):
        raise answer
    created = pb.CreateBookingResponse()
    _write_created(answer, event_snapshot(answer.event), created)
    return created


async def create_bookings(
    requests: Sequence[pb.CreateBookingRequest], submitter: BookingSubmitter, deadline: float
) -> pb.BatchCreateBookingsResponse:
    """Answer requests for any events; those for one event are decided in their order.

    Raises:
        InvalidBooking: more than MAX_REQUESTS.
    """
    if len(requests) > MAX_REQUESTS:
        problem = FieldError("requests", f"Must have at most {MAX_REQUESTS} entries.")
        raise InvalidBooking(fields=[problem])
    answers: list[Answered | None] = []
    asked: list[Asked] = []
    trace = inject_context()
    for request in requests:
        try:
            event_id = id_of(request.event_id, EventNotFound)
            asked.append((event_id, booking_request_of(request, trace)))
            answers.append(None)
        except DomainError as refusal:
            answers.append(refusal)
    told = iter(await submitter.submit(asked, deadline))
    complete = [next(told) if answer is None else answer for answer in answers]
    _count(complete)
    # Many are refused for one and the same reason.
    failed = {answer for answer in complete if isinstance(answer, Exception)}
    errors = {failure: _error(failure) for failure in failed}
    # Those of one commit share the event itself; to find equal ones costs more than to write them.
    events = {id(answer.event): answer.event for answer in complete if isinstance(answer, Placed)}
    snapshots = {number: event_snapshot(event) for number, event in events.items()}
    response = pb.BatchCreateBookingsResponse()
    for answer in complete:
        if isinstance(answer, Exception):
            response.results.add(error=errors[answer])
        else:
            snapshot = snapshots[id(answer.event)]
            _write_created(answer, snapshot, response.results.add().created)
    return response


def _write_created(
    placed: Placed, snapshot: pb.EventSnapshot, created: pb.CreateBookingResponse
) -> None:
    write_booking(placed.booking, snapshot, created.booking)
    created.replayed = placed.replayed


def _error(error: Exception) -> pb.BatchError:
    """Tell what the server's interceptor would tell the caller of a call of its own."""
    if isinstance(error, DomainError) and (status := ERRORS.status_of(error)):
        return pb.BatchError(
            status=status.value[0],
            reason=error.code,
            message=str(error),
            fields=[pb.FieldViolation(field=f.field, message=f.message) for f in error.fields],
            metadata=error.metadata,
        )
    if is_transient(error):
        logger.warning("request failed for now", error=type(error).__name__)
        status, reason, message = grpc.StatusCode.UNAVAILABLE, UNAVAILABLE, "Try again in a moment."
    else:
        logger.error("request failed", exc_info=error)
        status, reason = grpc.StatusCode.INTERNAL, INTERNAL
        message = "Something went wrong on our side."
    return pb.BatchError(status=status.value[0], reason=reason, message=message)


def _count(answers: Iterable[Answered]) -> None:
    for name, count in Counter(map(_name, answers)).items():
        ANSWERS.labels(name).inc(count)


def _name(answer: Answered) -> str:
    if isinstance(answer, Placed):
        return "replayed" if answer.replayed else "placed"
    return answer.code if isinstance(answer, DomainError) else "failed"
