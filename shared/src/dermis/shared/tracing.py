"""One trace of a case across HTTP, Celery and gRPC (OpenTelemetry, W3C Trace Context).

By hand, over OpenTelemetry's API: a part that isn't traced pays for a no-op. A span holds ids, routes, codes and times:
nothing personal.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from opentelemetry import propagate, trace
from opentelemetry.context import Context

from dermis.shared.ids import without_case_ids

URL_FORMS = "an OTLP/HTTP collector, http://host:4318, or a folder, file:///folder"
_FILE = re.compile(r"file://(?:localhost)?(/[^?#]*)")
_HTTP = re.compile(r"https?://[^\s/?#]+(?:/[^\s?#]*)?")
tracer = trace.get_tracer("dermis")


def is_traces_url(url: str) -> bool:
    return not url or bool(_FILE.fullmatch(url) or _HTTP.fullmatch(url))


def configure_traces(*, part: str, url: str) -> None:
    """Send the spans of this process to `url`; nowhere if it is empty. Call it after fork.

    OpenTelemetry's own OTEL_TRACES_SAMPLER and OTEL_RESOURCE_ATTRIBUTES hold too.
    """
    if not url:
        return
    # Imported here, as only who traces should pay a quarter of a second.
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: part}))
    if match := _FILE.fullmatch(url):
        folder = Path(unquote(match[1]))
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / f"{part}-{os.getpid()}.ndjson").open("a", buffering=1)
        exporter = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)


def flush_traces() -> None:
    """Send what is not sent yet; for a process that ends without Python's own end."""
    if flush := getattr(trace.get_tracer_provider(), "force_flush", None):
        flush(2000)


@contextmanager
def span(
    name: str,
    *,
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    context: Context | None = None,
    **attributes: str | int,
) -> Iterator[trace.Span]:
    """Time what happens in the block, as a part of the trace in `context` or around it.

    An error is told by its type, a case by its digest.
    """
    attributes = {
        key: without_case_ids(value) if isinstance(value, str) else value for key, value in attributes.items()
    }
    with tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except Exception as error:
            current.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def sent_along() -> dict[str, str]:
    """Return the headers that carry the current trace to another process."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def received_from(carrier: Mapping[str, str]) -> Context:
    """Return the trace that came with these headers, or none."""
    return propagate.extract(carrier)


def trace_ids() -> dict[str, str]:
    """Return the ids of the current trace and span, for a log line; empty outside of one."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}
