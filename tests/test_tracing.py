"""What a collector is sent, over the wire."""

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from botocore.exceptions import ClientError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import ALICE, Start
from console_visitor import Visitor, key_of
from numberkeep.operations import inventory
from numberkeep.operations.inventory import GivenNumber
from receiver import SECRET, Receiver

E164 = "+12065550100"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.services.add(attributes(resource.resource)["service.name"])
                    collector.spans += [span for scope in resource.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,))
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{one.server.server_address[1]}")
        yield one


def attributes(of: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


def test_a_request_has_a_span_in_the_trace_of_its_sender(start: Start, collector: Collector) -> None:
    service = start(traces=True)
    chime = service.client()

    def trace(request: Any, **_: Any) -> None:
        request.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"

    chime.meta.events.register("before-send", trace)
    answer = chime.list_phone_numbers()
    with pytest.raises(ClientError):
        chime.get_phone_number(PhoneNumberId=E164)
    service.client("sts").get_caller_identity()
    httpx.get(f"{service.url}/nowhere")
    service.stop()
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"Chime/ListPhoneNumbers", "Chime/GetPhoneNumber", "STS/GetCallerIdentity", "request"}
    assert collector.services == {"numberkeep"}
    listed = spans["Chime/ListPhoneNumbers"]
    assert (listed.trace_id.hex(), listed.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(listed) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "rpc.system": "aws-api",
        "rpc.service": "Chime",
        "rpc.method": "ListPhoneNumbers",
        "aws.request_id": answer["ResponseMetadata"]["RequestId"],
        "cloud.account.id": "123456789012",
    }
    assert attributes(spans["Chime/GetPhoneNumber"])["error.type"] == "NotFoundException"
    assert attributes(spans["Chime/GetPhoneNumber"])["http.response.status_code"] == 404
    assert spans["STS/GetCallerIdentity"].trace_id.hex() != TRACE
    assert "2065550100" not in str(collector.spans)


def test_what_the_console_asks_is_traced_and_recorded(start: Start, collector: Collector, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    service = start(traces=True, dev=False, verify=True, trail=(str(trail),))
    number = {"E164PhoneNumber": E164, "ProductType": "VoiceConnector"}
    service.run(service.app.store.transact(ALICE, lambda tx: inventory.put(tx, [msgspec.convert(number, GivenNumber)])))
    visitor = Visitor(service)
    with visitor.client:
        assert visitor.sign_in(*key_of(service)).status == 200
        assert "206" in visitor.get("/orders/new", area_code="206").text
        assert "Desk" in visitor.post(f"/numbers/{E164}/name", f"/numbers/{E164}", value="Desk").text
    service.stop()
    asked = {"SearchAvailablePhoneNumbers", "UpdatePhoneNumber"}
    assert {span.name for span in collector.spans} == {f"Chime/{name}" for name in asked}
    assert {json.loads(line)["eventName"] for line in trail.read_text().splitlines()} == asked


def test_a_question_to_a_carrier_has_a_span_that_the_carrier_is_told(
    start: Start, collector: Collector, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with Receiver() as receiver:
        receiver.answer = lambda message: (500, {})
        (tmp_path / "carriers.toml").write_text(
            f'default = "acme"\n[carriers.acme]\nkind = "webhook"\nurl = "{receiver.url}"\nsecret_file = "secret"\n'
        )
        service = start(traces=True, carriers=tmp_path / "carriers.toml")
        service.client().create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[E164])
        end = time.monotonic() + 20
        while len(receiver.taken) < 2:  # when it is asked again, it has been heard before
            assert time.monotonic() < end
            time.sleep(0.05)
        service.stop()
    span = next(span for span in collector.spans if span.name == "carrier order")
    assert span.status.message.startswith("HTTP 500")
    told = f"00-{span.trace_id.hex()}-{span.span_id.hex()}-"
    assert any(traceparent.startswith(told) for traceparent in receiver.traceparents)


def test_nothing_is_imported_when_nobody_wants_traces() -> None:
    look = "import sys, numberkeep.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0
