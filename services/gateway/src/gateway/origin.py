"""Who a call to a backend is made for."""

from dataclasses import dataclass
from typing import Self

import structlog
from opentelemetry import context, trace


@dataclass(frozen=True, slots=True)
class Origin:
    """What names a request in logs and in calls to backends; empty where it has no name."""

    request_id: str
    user_id: str
    span: trace.Span

    @classmethod
    def current(cls) -> Self:
        """Return the one of the current context."""
        named = structlog.contextvars.get_contextvars()
        return cls(named.get("request_id", ""), named.get("user_id", ""), trace.get_current_span())

    def enter(self) -> None:
        """Make this the one of the current context, wherever something is logged or called.

        Nothing is while a booking is granted, so a crowd's requests are spared the cost.
        """
        structlog.contextvars.bind_contextvars(request_id=self.request_id, user_id=self.user_id)
        context.attach(trace.set_span_in_context(self.span))
