"""The request that a log entry, a span or a call to a backend belongs to."""

from dataclasses import dataclass
from typing import Self

import structlog
from opentelemetry import context, trace


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Request id, user id and server span of one request; an unknown id is empty."""

    request_id: str
    user_id: str
    span: trace.Span

    @classmethod
    def current(cls) -> Self:
        """Return the context of the current task."""
        bound = structlog.contextvars.get_contextvars()
        return cls(bound.get("request_id", ""), bound.get("user_id", ""), trace.get_current_span())

    def enter(self) -> None:
        """Make this the context of the current task, before it logs or calls a backend.

        The fast paths call it only then: binding costs more than a cached answer.
        """
        structlog.contextvars.bind_contextvars(request_id=self.request_id, user_id=self.user_id)
        context.attach(trace.set_span_in_context(self.span))
