"""The request that a log entry, a span or a call to a backend belongs to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import structlog
from goticket_platform.ids import new_id
from goticket_platform.logs import get_logger
from goticket_platform.telemetry import tracer
from opentelemetry import context, trace

logger = get_logger(__name__)


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


@contextmanager
def batch_context(name: str, requests: Sequence[RequestContext]) -> Iterator[None]:
    """Give the call for several requests a trace and a request id of its own.

    The trace has links to those of the requests, and a log entry names the requests. The
    current task must be the one of the batch: its context is replaced.
    """
    spans = [request.span.get_span_context() for request in requests]
    links = [trace.Link(span) for span in spans if span.trace_flags.sampled]
    with tracer.start_as_current_span(name, context.Context(), links=links):
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=str(new_id()))
        logger.info("batch sent", batch=name, requests=[each.request_id for each in requests])
        yield
