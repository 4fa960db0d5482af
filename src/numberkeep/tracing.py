"""OpenTelemetry traces: a span for each request, and one for each call to a carrier or message to a subscriber.

The environment variables OTEL_..., which every OpenTelemetry SDK reads, say where traces go, how many are sampled, and
what the service is called. No span contains phone numbers or names. This is imported only if traces are wanted.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import time_ns

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .aws.api import Api, Reply
from .aws.call import CHIME_SOURCE, ApiCall, Result
from .aws.errors import Refusal, shape_of
from .aws.message import Request, Response
from .aws.sts import SOURCE as STS_SOURCE
from .domain.errors import Error

_SERVICES = {CHIME_SOURCE: "Chime", STS_SOURCE: "STS"}
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """Makes and exports spans."""

    def __init__(self) -> None:
        resource = (
            Resource.create().merge(Resource({"service.name": "numberkeep"})).merge(OTELResourceDetector().detect())
        )
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("numberkeep")
        self._spans: dict[int, Span] = {}
        """The spans of open requests, by the identity of the request."""

    def close(self) -> None:
        """Export the remaining spans."""
        self._provider.shutdown()

    def watch(self, api: Api) -> "TracedApi":
        """Wrap `api` so that all its requests are traced."""
        return TracedApi(api, self)

    def begin(self, request: Request) -> Span:
        """Start the span of a request; it joins its sender's trace, if the sender has one."""
        attributes = {"http.request.method": request.method, "url.scheme": "https" if request.secure else "http"}
        parent = _PROPAGATOR.extract(request.headers)
        span = self._tracer.start_span("request", parent, SpanKind.SERVER, attributes)
        self._spans[id(request)] = span
        return span

    def end(self, request: Request, span: Span, response: Response) -> None:
        """The request was answered: end its span, after `observe` has described its result."""
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= 500:
            span.set_status(StatusCode.ERROR)
        asyncio.get_running_loop().call_soon(self._end, request, span, time_ns())

    def give_up(self, request: Request, span: Span) -> None:
        """The request failed before it could be answered: end its span with an error."""
        span.set_status(StatusCode.ERROR)
        self._end(request, span, time_ns())

    def _end(self, request: Request, span: Span, at: int) -> None:
        if self._spans.pop(id(request), None) is span:
            span.end(at)

    @contextmanager
    def asking(self, name: str) -> Iterator[Callable[[str], None]]:
        """Trace a call to another system; the function that this gives is called with the reason if the call fails."""
        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT) as span:
            yield lambda why: span.set_status(StatusCode.ERROR, why)

    @staticmethod
    def headers() -> Mapping[str, str]:
        """The headers that tell another system which span it is called from."""
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers)
        return headers

    def observe(self, call: ApiCall, result: Result) -> None:
        """Describe a request and its result in its span."""
        span = self._spans.get(id(call.request))
        if span is None:
            return  # it failed, and its span was ended
        service = _SERVICES.get(call.source, call.source)
        span.set_attributes({"rpc.system": "aws-api", "rpc.service": service, "aws.request_id": call.request_id})
        # A refused request may name any action of another service: such text must not become the name of a span.
        name = None if call.operation is None and isinstance(result, Refusal) else call.name
        if name:
            span.update_name(f"{service}/{name}")
            span.set_attribute("rpc.method", name)
        if call.identity:
            span.set_attribute("cloud.account.id", call.identity.caller.account_id)
        if isinstance(result, Refusal):
            span.set_attribute("error.type", result.shape)
        elif isinstance(result, Error):
            span.set_attribute("error.type", shape_of(result).name)


class TracedApi:
    """An API whose requests are traced."""

    def __init__(self, api: Api, tracing: Tracing) -> None:
        self._api = api
        self._tracing = tracing
        self.refuse = api.refuse

    def handle(self, request: Request, reply: Reply) -> None:
        """Like `Api.handle`."""
        span = self._tracing.begin(request)

        def end(response: Response) -> None:
            self._tracing.end(request, span, response)
            reply(response)

        try:
            self._api.handle(request, end)
        except Exception:
            self._tracing.give_up(request, span)
            raise
