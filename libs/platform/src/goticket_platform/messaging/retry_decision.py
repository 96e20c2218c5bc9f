"""What becomes of an event whose handling failed: another try later, or the dead-letter queue."""

import re
from dataclasses import dataclass

from goticket_contracts.topology import QueueSpec

from goticket_platform.messaging.cloudevents import NonRetryableError
from goticket_platform.postgres import is_transient

REASON_CHARACTERS = 300

_ADDRESS = re.compile(r"[^\s<>,;:\"'()]+@[^\s<>,;:\"'()]+")


class RetryableError(Exception):
    """Something this event needs is out of order; it is tried again until that works."""


@dataclass(frozen=True)
class RetryDecision:
    """Where the event goes next; `attempt` is the number its next delivery bears."""

    queue: str
    attempt: int
    reason: str
    final: bool


def decide_retry(queue: QueueSpec, attempt: int, error: Exception) -> RetryDecision:
    """Decide about an event whose `attempt` (from 1) ended in `error`.

    NonRetryableError goes to the dead letters at once, anything else when its tries are used
    up. An outage of something the handler needs (a lost connection, a lock or an answer
    that does not come, `RetryableError`) uses up no last try: it says nothing against the
    event, so the event waits it out.
    """
    reason = describe(error)
    if isinstance(error, NonRetryableError):
        return RetryDecision(queue.dead_letters, attempt, reason, final=True)
    if isinstance(error, RetryableError) or is_transient(error):
        attempt = min(attempt, len(queue.retry_seconds))
    retry_queue = queue.retry_queue(attempt)
    if retry_queue is None:
        return RetryDecision(
            queue.dead_letters, attempt, f"gave up after {attempt} tries: {reason}", final=True
        )
    return RetryDecision(retry_queue, attempt + 1, reason, final=False)


def describe(error: Exception) -> str:
    """Say in a line what went wrong, without e-mail addresses: it is kept beside the message."""
    text = (
        str(error) if isinstance(error, NonRetryableError) else f"{type(error).__name__}: {error}"
    )
    return _ADDRESS.sub("<address>", " ".join(text.split()))[:REASON_CHARACTERS]
