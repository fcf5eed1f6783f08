"""Traces: one span per call and one per attempt, made from its record and sent to a collector by OTLP.

Nobody waits for it. A collector that does not answer costs the spans, which are counted, and one line of the
log.
"""

import atexit
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from smalt.errors import MissingExtra
from smalt.observe import conventions
from smalt.observe.background import Background
from smalt.observe.call_lines import shown
from smalt.redact import without_passwords
from smalt.types import AttemptRecord, CallRecord
from smalt.wire.prices import usd_text

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

TRACES_PATH: Final = "/v1/traces"
EXPORT_TIMEOUT_S: Final = 5.0
CLOSES_WITHIN_S: Final = 3.0
THREAD: Final = "smalt-spans"
_IDS: Final = 2**64 - 1

logger = logging.getLogger("smalt.traces")

Attributes = dict[str, str | int | float | bool | Sequence[str]]


class Spans:
    """A sink. `url`: of a collector, `http://127.0.0.1:4318` or with the path of its own. `providers`: by
    upstream, as the conventions call them. `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and
    `OTEL_EXPORTER_OTLP_HEADERS` are heeded. Make it after a fork. Raises MissingExtra.
    """

    def __init__(self, url: str, providers: Mapping[str, str]) -> None:
        self._exporter = _exporter(url)
        self._resource = _resource()
        self.url, self.providers = url, providers
        self._failing = self._closed = False
        self._background: Background[CallRecord] = Background(self._export, THREAD)
        atexit.register(self.close)

    @property
    def lost(self) -> int:
        """Calls whose spans reached no collector."""
        return self._background.lost

    def __call__(self, record: CallRecord) -> None:
        """A caller's trace that is not kept is not added to."""
        if record.started_at is not None and (record.trace is None or record.trace.sampled):
            self._background.put(record)

    def send_to(self, url: str, providers: Mapping[str, str]) -> None:
        """From now on."""
        if url != self.url:
            self._exporter, self.url = _exporter(url), url
        self.providers = providers

    def close(self) -> None:
        """Send what is left, for a short while at most. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._background.close(CLOSES_WITHIN_S)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _export(self, batch: Sequence[CallRecord]) -> int:
        spans = [span for record in batch for span in self._of(record)]
        failed = self._exporter.export(spans).value != 0
        if failed != self._failing:
            self._failing = failed
            what = "takes no spans; calls go on" if failed else "takes spans again"
            logger.warning("the collector at %s %s", without_passwords(self.url), what)
        return len(batch) if failed else 0

    def _of(self, record: CallRecord) -> "Iterator[ReadableSpan]":
        """The call's span, then those of its attempts."""
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415  an optional extra
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415

        kept = TraceFlags(TraceFlags.SAMPLED)
        trace_id, span_id = ids(record)
        context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=kept)
        parent = None
        if record.trace is not None:
            parent = SpanContext(trace_id, int(record.trace.parent_id, 16), is_remote=True, trace_flags=kept)
        start_ns = int((record.started_at or datetime.now(UTC)).timestamp() * 1e9)
        yield ReadableSpan(
            f"{conventions.OPERATION_NAMES[record.operation]} {shown(record.model)}",
            context,
            parent,
            self._resource,
            call_attributes(record, self.providers),
            kind=SpanKind.INTERNAL if record.principal is None else SpanKind.SERVER,
            status=Status(StatusCode.UNSET if record.error is None else StatusCode.ERROR, record.error),
            start_time=start_ns,
            end_time=start_ns + int(record.duration_s * 1e9),
        )
        for attempt in record.attempts:
            began_ns = start_ns + int(attempt.started_s * 1e9)
            failure = attempt.failure
            yield ReadableSpan(
                f"attempt {shown(attempt.upstream)}",
                SpanContext(
                    trace_id, (span_id + attempt.number) & _IDS or 1, is_remote=False, trace_flags=kept
                ),
                context,
                self._resource,
                attempt_attributes(attempt),
                kind=SpanKind.CLIENT,
                status=Status(StatusCode.ERROR, failure.kind) if failure else Status(StatusCode.UNSET),
                start_time=began_ns,
                end_time=began_ns + int(attempt.duration_s * 1e9),
            )


def ids(record: CallRecord) -> tuple[int, int]:
    """Of trace and span: the caller's trace, else one that has the digits of our id of the request, whose
    second half is the span's."""
    own = int(record.request_id.replace("-", ""), 16)
    trace_id = own if record.trace is None else int(record.trace.trace_id, 16)
    return trace_id or 1, own & _IDS or 1


def call_attributes(record: CallRecord, providers: Mapping[str, str]) -> Attributes:
    """By the conventions, and ours."""
    usage = record.usage
    told: dict[str, Any] = {
        conventions.OPERATION_NAME: conventions.OPERATION_NAMES[record.operation],
        conventions.PROVIDER_NAME: providers.get(record.upstream or "", conventions.AZURE),
        conventions.REQUEST_MODEL: shown(record.model),
        conventions.REQUEST_STREAM: record.stream,
        conventions.CONVERSATION_ID: shown(record.session),
        conventions.INPUT_TOKENS: usage and usage.input_tokens,
        conventions.CACHED_TOKENS: usage and usage.cached_tokens,
        conventions.OUTPUT_TOKENS: usage and usage.output_tokens,
        conventions.REASONING_TOKENS: usage and usage.reasoning_tokens,
        conventions.FIRST_CHUNK_S: record.first_byte_s if record.stream else None,
        conventions.ERROR_TYPE: record.error,
        "smalt.request_id": record.request_id,
        "smalt.principal": record.principal,
        "smalt.operation": str(record.operation),
        "smalt.upstream": shown(record.upstream),
        "smalt.region": record.region,
        "smalt.attempts": len(record.attempts),
        "smalt.estimated": record.estimated,
        "smalt.cost_usd": None if record.cost_nusd is None else usd_text(record.cost_nusd),
        "smalt.tags": tuple(str(shown(tag)) for tag in record.tags) or None,
    }
    return _said(told)


def attempt_attributes(attempt: AttemptRecord) -> Attributes:
    """Of one request to Azure."""
    failure = attempt.failure
    return _said(
        {
            conventions.HTTP_STATUS: failure and failure.status,
            conventions.ERROR_TYPE: str(failure.kind) if failure else None,
            "smalt.upstream": shown(attempt.upstream),
            "smalt.region": attempt.region,
            "smalt.attempt": attempt.number,
            "smalt.fate": str(attempt.fate),
            "smalt.apim_request_id": shown(attempt.upstream_ids.get("apim-request-id")),
            "smalt.x_request_id": shown(attempt.upstream_ids.get("x-request-id")),
        }
    )


def _said(told: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in told.items() if value is not None}


def _exporter(url: str) -> "OTLPSpanExporter":
    """Raises MissingExtra."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("observe.otlp", "otel") from None
    theirs = logging.getLogger(OTLPSpanExporter.__module__)
    if _not_ours not in theirs.filters:
        theirs.addFilter(_not_ours)
    endpoint = url if urlsplit(url).path.strip("/") else url.rstrip("/") + TRACES_PATH
    return OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)


def _not_ours(record: logging.LogRecord) -> bool:
    """The exporter logs each try; of ours one line says it, those of the program are its own."""
    return record.threadName != THREAD


def _resource() -> "Resource":
    """This program, as the environment of OpenTelemetry describes it."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415

    own = Resource({"service.name": "smalt", "service.version": version("smalt")})
    return own.merge(OTELResourceDetector().detect())
