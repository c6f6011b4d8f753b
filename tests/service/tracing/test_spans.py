"""Traces: one tree of spans over tasks and threads, nothing where nobody asked, and never at the cost of serving."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import logs
from service.index.search_plan import Job
from service.node.search_threads import SearchThreads
from service.serving import Service
from service.settings import Process
from service.tracing import exporter, sdk, spans
from service.wire.problems import Problem
from tests.service.asking import asked
from tests.service.node.test_search_threads import HIT, _noting, _search
from tests.service.recorded import ids, ours, parent, recorded, said

PROJECT = Path(__file__).resolve().parents[3]
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "shop=42"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
NODE = Process(
    fleet="shop", role="node", slot="blue", parameters="/p", shard=3, replica="b", instance="i-1", zone="eu-1a"
)


async def _work(request: Request) -> Response:
    with spans.span("work", k=request.path_params["k"]):
        if request.path_params["k"] == "0":
            raise ZeroDivisionError("secret")
        if request.path_params["k"].isdigit():
            raise Problem(int(request.path_params["k"]), "secret")
    with spans.call("attempt"):
        return Response(str(dict(spans.headers())))


def _service() -> Service:
    return Service([Route("/work/{k:str}", _work, methods=["POST"])], lambda: (True, {}), [])


@pytest.fixture
def root_logger() -> Iterator[io.StringIO]:
    """Yield the output of the process's own log handler."""
    root, written = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", written)
        logs.configure(NODE)
        yield written
    root.handlers[:], root.level = handlers, level


def test_without_a_collector_nothing_is_imported() -> None:
    program = """
import sys
from service.tracing import exporter, spans
from service.settings import Process
import service.router.process, service.node.process, service.indexer.process
exporter.configure(Process(fleet="f", role="router", slot="blue", parameters="/p").place)
with spans.span("search", k=3) as span:
    span.set(hits=2)
    assert spans.headers() == {} and span is spans.NO_SPAN
exporter.flush()
sys.exit(any(name.split(".")[0] == "opentelemetry" for name in sys.modules))
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, env=clean, check=False).returncode == 0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "True"},
        {ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_traces_are_off_in_silence_by_default(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _configure(environment, monkeypatch)
    assert (spans._recorder, caplog.text) == (None, "")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({ENDPOINT: "collector:4318"}, f"{ENDPOINT} is 'collector:4318'; give it a URL such as"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is 'http://'"),
        ({ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "only http/protobuf is supported"),
        ({ENDPOINT: "http://c", "OTEL_TRACES_EXPORTER": "console"}, "allowed are otlp and none"),
        ({ENDPOINT: "http://c", "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "the OTEL_* variables can't be used: max_queue_size"),
    ],
)
def test_an_invalid_variable_is_one_log_line_and_no_failure(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _configure(environment, monkeypatch)
    (line,) = caplog.records
    assert spans._recorder is None
    assert (line.levelname, line.message) == ("WARNING", "traces stay off")
    assert said in line.__dict__["reason"]


def test_without_the_extra_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "service.tracing.sdk")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    _configure({ENDPOINT: "http://c:4318"}, monkeypatch)
    (line,) = caplog.records
    assert line.__dict__["reason"] == (
        f"{ENDPOINT} is set and opentelemetry is not installed; install the extra `traces` of vectorfleet, "
        "or unset the variable"
    )
    assert spans.span("search") is spans.NO_SPAN


def _configure(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_recorder", None)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    exporter.configure(NODE.place)


def test_the_standard_variables_configure_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        ENDPOINT: "http://127.0.0.1:9/base",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,vectorfleet.zone=mine",
    }
    _configure(variables, monkeypatch)
    recorder = spans._recorder
    assert isinstance(recorder, sdk.SdkRecorder)
    try:
        assert "0.25" in recorder._provider.sampler.get_description()
        assert (
            dict(recorder._provider.resource.attributes).items()
            >= {
                "service.name": "vectorfleet-node",
                "service.namespace": "shop",
                "service.instance.id": "i-1",
                "cloud.availability_zone": "eu-1a",
                "vectorfleet.fleet": "shop",
                "vectorfleet.slot": "blue",
                "vectorfleet.role": "node",
                "vectorfleet.instance": "i-1",
                "vectorfleet.shard": 3,
                "vectorfleet.replica": "b",
                "vectorfleet.zone": "mine",
                "deployment.environment.name": "test",
            }.items()
        )
        monkeypatch.setenv("OTEL_SERVICE_NAME", "search")
        assert sdk.resource(NODE.place).attributes["service.name"] == "search"
    finally:
        recorder.shutdown()


def test_a_request_is_a_span_of_its_callers_trace() -> None:
    with recorded() as found:
        status, _, body = asked(_service(), "/work/many", "POST", {**SAMPLED, "X-Request-Id": "r-1"})
        request, work, attempt = found.one("POST /work/{k}"), found.one("work"), found.one("attempt")
    assert status == 200
    assert (ids(request)[0], parent(request)) == (int(TRACE, 16), int(CALLER, 16))
    assert said(request) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.route": "/work/{k}",
        "http.response.status_code": 200,
        "vectorfleet.request_id": "r-1",
    }
    assert (request.kind, work.kind, attempt.kind) == (SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT)
    assert parent(work) == parent(attempt) == ids(request)[1]
    sent = f"00-{TRACE}-{ids(attempt)[1]:016x}-01"
    assert body.decode() == str({"traceparent": sent, "tracestate": "shop=42"})


@pytest.mark.parametrize(("status", "failed"), [(422, False), (429, False), (503, True), (0, True)])
def test_a_failure_of_ours_is_one_and_a_callers_mistake_is_none(status: int, failed: bool) -> None:
    with recorded() as found:
        answered = asked(_service(), f"/work/{status}", "POST")[0]
        request, work = found.one("POST /work/{k}"), found.one("work")
    assert answered == (status or 500)
    assert said(request)["http.response.status_code"] == answered
    assert (request.status.status_code, work.status.status_code) == (
        (StatusCode.ERROR,) * 2 if failed else (StatusCode.UNSET,) * 2
    )
    assert said(work)["error.type"] == ("ZeroDivisionError" if status == 0 else str(status))
    assert "secret" not in request.to_json() + work.to_json()


def test_spans_name_no_paths_and_probes_have_none() -> None:
    with recorded() as found:
        for path in ("/healthz", "/livez", "/readyz", "/metrics"):
            asked(_service(), path)
        assert found.names == []
        asked(_service(), "/v1/documents/secret")
        asked(_service(), "/v1/documents/secret", "BREW")
        assert found.names == ["GET", "HTTP"]
        assert "secret" not in "".join(span.to_json() for span in found.exporter.get_finished_spans())


def test_an_unsampled_trace_is_not_recorded_by_any_process() -> None:
    with recorded() as found:
        body = asked(_service(), "/work/many", "POST", UNSAMPLED)[2].decode()
        assert found.names == []
    assert f"00-{TRACE}-" in body
    assert "-00'" in body


def test_background_work_is_sampled_once_for_all_its_spans() -> None:
    with recorded(ALWAYS_OFF) as found:
        with spans.span("index"), spans.span("embed") as piece:
            assert piece is spans.NO_SPAN
            assert spans.headers()["traceparent"][-2:] in ("00", "02")  # 2: the id is random
        asked(_service(), "/work/many", "POST")
        assert found.names == []


def test_a_request_is_no_piece_of_what_its_connection_did_before() -> None:
    with recorded() as found:
        with spans.span("the request before"):
            asked(_service(), "/work/many", "POST")
        assert parent(found.one("POST /work/{k}")) is None


def test_pieces_keep_their_place_over_tasks_and_threads() -> None:
    names: list[str] = []
    heavy, light = Job(_noting(names), heavy=True), Job(_noting(names), heavy=False)

    def in_thread() -> None:
        with spans.span("thread"):
            pass

    async def search(number: int) -> None:
        with spans.span("search", number=number):
            assert await _search(SearchThreads(2), heavy, light) == [HIT]
            await asyncio.to_thread(in_thread)

    async def batch() -> None:
        with spans.span("batch"):
            await asyncio.gather(*map(search, range(4)))

    with recorded() as found:
        asyncio.run(batch())
        batch_id = ids(found.one("batch"))[1]
        searches = [ids(span)[1] for span in found.named("search")]
        assert {parent(span) for span in found.named("search")} == {batch_id}
        for name, each in (("walk", 2), ("thread", 1)):
            assert sorted(parent(span) or 0 for span in found.named(name)) == sorted(searches * each)
        assert sorted(bool(ours(span)["heavy"]) for span in found.named("walk")) == [False] * 4 + [True] * 4
    assert set(names) >= {"exact_0", "MainThread"}


def test_what_is_cancelled_says_so_and_is_no_failure() -> None:
    async def run() -> None:
        async def wait() -> None:
            with spans.span("wait"):
                await asyncio.sleep(30)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with recorded() as found:
        asyncio.run(run())
        span = found.one("wait")
    assert (ours(span), span.status.status_code) == ({"outcome": "cancelled"}, StatusCode.UNSET)


def test_lines_of_the_log_name_the_trace_and_the_span(root_logger: io.StringIO) -> None:
    log = logging.getLogger("service.test")
    with recorded() as found:
        log.info("outside")
        with spans.span("work"):
            log.info("inside")
        trace_id, span_id = ids(found.one("work"))
    outside, inside = root_logger.getvalue().splitlines()
    assert "trace_id" not in outside
    assert f'"trace_id": "{trace_id:032x}", "span_id": "{span_id:016x}"' in inside


def test_the_sdk_speaks_once_a_minute_and_others_as_they_like(
    root_logger: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    noisy = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    for second in (0, 1, 59, 60, 61):
        now[0] = 1000.0 + second
        noisy.error("Failed to export")
        logging.getLogger("service.test").info("ours")
    written = root_logger.getvalue()
    assert (written.count("Failed to export"), written.count('"ours"')) == (2, 5)


class Away(SpanExporter):
    """A collector that takes a request and never answers."""

    def __init__(self) -> None:
        self.asked, self.end = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.end.wait(30)
        return SpanExportResult.FAILURE


def test_a_collector_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    away, provider = Away(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(away, max_queue_size=8, max_export_batch_size=4))
    monkeypatch.setattr(spans, "_recorder", sdk.SdkRecorder(provider))
    monkeypatch.setattr(exporter, "FLUSH_SECONDS", 0.1)
    service, started = _service(), time.monotonic()
    assert [asked(service, "/work/many", "POST")[0] for _ in range(20)] == [200] * 20
    assert away.asked.wait(5)
    exporter.flush()
    assert time.monotonic() - started < 5
    assert spans._recorder is None
    away.end.set()


def test_what_is_left_is_sent_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    class Kept(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            time.sleep(0.2)
            sent.extend(span.name for span in spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Kept(), schedule_delay_millis=60_000))
    monkeypatch.setattr(spans, "_recorder", sdk.SdkRecorder(provider))
    with spans.span("last"):
        assert sent == []
    exporter.flush()
    assert sent == ["last"]
