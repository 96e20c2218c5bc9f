"""Decides about an attempt that failed: try again later, or refuse the delivery."""

from datetime import timedelta

from goticket_contracts.topology import RETRY_SECONDS
from goticket_platform.messaging.consumer import NonRetryableError, RetryableError
from goticket_platform.messaging.retry_decision import describe
from goticket_platform.postgres import is_transient

from notification.booking_details import BookingNotFound
from notification.delivery_queue import Delivery, Outcome, Status

MAX_FAILURES = len(RETRY_SECONDS) + 1
"""Answers of the booking service that the booking is unknown, after which it is refused. A
replica may lag behind the message."""
LONGEST_OUTAGE_RETRY = timedelta(seconds=30)
"""An outage delays a delivery by at most this much beyond its end."""


def is_outage(error: Exception) -> bool:
    """Whether a dependency is unavailable or too slow. It says nothing about the delivery."""
    return isinstance(error, RetryableError) or is_transient(error)


def outcome_of(error: Exception, delivery: Delivery) -> Outcome:
    """Return the outcome of a failed attempt.

    Malformed data and an SMTP reply 5xx refuse the delivery. So does a booking that the booking
    service does not know, after MAX_FAILURES of its answers. Any other failure is retried, however
    often it happens: an outage, an SMTP reply 4xx, an unexpected error.
    """
    reason = describe(error)
    if isinstance(error, NonRetryableError):
        return Outcome(Status.REFUSED, reason)
    if isinstance(error, BookingNotFound):
        failures = delivery.failures + 1
        if failures >= MAX_FAILURES:
            return Outcome(Status.REFUSED, reason, is_failure=True)
        return Outcome(Status.DEFERRED, reason, _delay(failures), is_failure=True)
    delay = _delay(delivery.attempts)
    if is_outage(error):
        delay = min(delay, LONGEST_OUTAGE_RETRY)
    return Outcome(Status.DEFERRED, reason, delay)


def _delay(number: int) -> timedelta:
    index = min(max(number, 1), len(RETRY_SECONDS)) - 1
    return timedelta(seconds=RETRY_SECONDS[index])
