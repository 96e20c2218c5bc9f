"""Decides about a message whose handling failed: retry later, or dead-letter."""

import re
from dataclasses import dataclass

from goticket_contracts.topology import QueueSpec

from goticket_platform.messaging.cloudevents import NonRetryableError
from goticket_platform.postgres import is_transient

REASON_CHARACTERS = 300

_ADDRESS = re.compile(r"[^\s<>,;:\"'()]+@[^\s<>,;:\"'()]+")


class RetryableError(Exception):
    """A dependency of the handler is unavailable; the message is retried until it is back."""


@dataclass(frozen=True)
class RetryDecision:
    """The queue that the message goes to; `attempt` is the number of its next delivery."""

    queue: str
    attempt: int
    reason: str
    final: bool


def decide_retry(queue: QueueSpec, attempt: int, error: Exception) -> RetryDecision:
    """Decide about a message whose `attempt` (from 1) failed with `error`.

    A NonRetryableError dead-letters the message at once. Other errors retry it with growing
    delays until its attempts are exhausted. An outage of a dependency (a lost connection, a
    timeout, `RetryableError`) never exhausts them: the message stays at the longest delay, and
    a later failure of another kind is still retried.
    """
    reason = describe(error)
    if isinstance(error, NonRetryableError):
        return RetryDecision(queue.dead_letters, attempt, reason, final=True)
    last_retry = len(queue.retry_seconds)
    is_outage = last_retry > 0 and (isinstance(error, RetryableError) or is_transient(error))
    if is_outage:
        attempt = min(attempt, last_retry)
    retry_queue = queue.retry_queue(attempt)
    if retry_queue is None:
        return RetryDecision(
            queue.dead_letters, attempt, f"attempts exhausted ({attempt}): {reason}", final=True
        )
    following = min(attempt + 1, last_retry) if is_outage else attempt + 1
    return RetryDecision(retry_queue, following, reason, final=False)


def describe(error: Exception) -> str:
    """Describe the error in one line for the message's headers, without e-mail addresses."""
    text = (
        str(error) if isinstance(error, NonRetryableError) else f"{type(error).__name__}: {error}"
    )
    return _ADDRESS.sub("<address>", " ".join(text.split()))[:REASON_CHARACTERS]
