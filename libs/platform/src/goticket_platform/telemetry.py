"""OpenTelemetry traces whose context passes through HTTP, gRPC, the outbox and queues."""

from collections.abc import Mapping, Sequence

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

tracer = trace.get_tracer("goticket")
_id_generator = RandomIdGenerator()
_trace_context = TraceContextTextMapPropagator()
_records_new_traces = True
"""False when no trace that starts in this process is recorded."""


def configure_tracing(service: str, otlp_endpoint: str | None, sample_ratio: float) -> None:
    """Install the process's tracer provider.

    `sample_ratio` (0 to 1) applies to traces that start in this process; a trace of another
    service keeps that service's decision. Without an endpoint no trace is sampled: traces are
    only ids that are passed on and logged. A span that is not recorded costs 12 µs instead of
    30 µs.
    """
    global _records_new_traces  # noqa: PLW0603 - the provider that it describes is global too
    ratio = sample_ratio if otlp_endpoint else 0.0
    _records_new_traces = ratio > 0
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: f"goticket-{service}"}),
        sampler=ParentBasedTraceIdRatio(ratio),
    )
    trace.set_tracer_provider(provider)
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=True)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        # Spans of SQL statements pass no context on, so they are useless without a collector.
        AsyncPGInstrumentor().instrument()  # type: ignore[no-untyped-call]  # its __init__ has no annotations


def shutdown_tracing() -> None:
    """Export the remaining spans."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def inject_context() -> dict[str, str]:
    """Return the W3C trace headers of the current span; empty outside of any span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def extracted_context(headers: Mapping[str, str]) -> Context:
    """Return the trace context of `headers`, the parent of a new span."""
    return propagate.extract(headers)


def edge_span(name: str, traceparent: bytes | None) -> Span:
    """Start the span of a request from outside: the first span of a new trace.

    `traceparent` is the caller's (W3C Trace Context), which becomes a link. A caller outside
    must decide neither whether the trace is recorded nor what services pass on, so its
    `tracestate` and `baggage` are not read (section 6 of the same recommendation).

    The span does not become the current one, and the caller of this function must end it. A
    span that will not be recorded only provides ids for logs and calls. It is made without the
    sampler, which would decide the same at ten times the cost.
    """
    if not _records_new_traces:
        return NonRecordingSpan(
            SpanContext(
                _id_generator.generate_trace_id(), _id_generator.generate_span_id(), is_remote=False
            )
        )
    links = _links_to(traceparent) if traceparent is not None else ()
    return tracer.start_span(name, Context(), SpanKind.SERVER, links=links)


def _links_to(traceparent: bytes) -> Sequence[Link]:
    carrier = {"traceparent": traceparent.decode("latin-1")}
    caller = trace.get_current_span(_trace_context.extract(carrier, Context())).get_span_context()
    return (Link(caller),) if caller.is_valid else ()
