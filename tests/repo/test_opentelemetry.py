"""examples/opentelemetry_hooks.py on real etcd: its spans, its metrics, what they must not hold, and the program."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import runpy
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import db_attributes as db
from opentelemetry.semconv.attributes import http_attributes as http
from opentelemetry.semconv.attributes import server_attributes as server
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE, ErrorTypeValues
from opentelemetry.semconv.attributes.url_attributes import URL_FULL
from opentelemetry.semconv.metrics.http_metrics import HTTP_CLIENT_REQUEST_DURATION
from opentelemetry.trace import SpanKind, StatusCode

import etcdv2
from etcdv2.testing import Server
from examples.opentelemetry_hooks import AttemptTelemetry
from tests.conftest import FIRST_VERSION
from tests.repo.test_examples import outcome, start
from tests.tools.faces import Face
from tests.tools.fault_server import TcpProxy
from tests.tools.waiting import SOON

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "opentelemetry_hooks.py"
ADVISED = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Buckets, from the page of the conventions on HTTP metrics."""
OTHER = ErrorTypeValues.OTHER.value
pytestmark = FIRST_VERSION
VALUE = "a-value-that-nobody-may-see"
PASSWORD = "hunter2-is-secret"


class Watched:
    """An SDK that keeps everything in memory, and the hook under test before it."""

    def __init__(self, *more: SpanProcessor) -> None:
        self.exporter = InMemorySpanExporter()
        self.traces = TracerProvider()
        for processor in (SimpleSpanProcessor(self.exporter), *more):
            self.traces.add_span_processor(processor)
        self.reader = InMemoryMetricReader()
        self.measures = MeterProvider([self.reader])
        self.tracer = self.traces.get_tracer("the application")
        self.infos: list[etcdv2.AttemptInfo] = []
        self._telemetry = AttemptTelemetry(self.traces, self.measures)

    def hook(self, info: etcdv2.AttemptInfo) -> None:
        self.infos.append(info)
        self._telemetry(info)

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]

    def span(self, name: str) -> ReadableSpan:
        """The application's span of this name."""
        (found,) = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return found

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        assert (scope.scope.name, scope.scope.version) == ("etcdv2", etcdv2.__version__)
        return {metric.name: metric for metric in scope.metrics}

    def shown(self) -> str:
        """All that leaves the process."""
        spans = [span.to_json() for span in self.exporter.get_finished_spans()]
        data = self.reader.get_metrics_data()
        return "\n".join([*spans, "" if data is None else data.to_json()])


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def attributes_of(url: str, info: etcdv2.AttemptInfo, **more: str | int) -> dict[str, str | int]:
    """What both the metrics and the span of this attempt have; the names as OpenTelemetry's own package has them."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    expected: dict[str, str | int] = {
        db.DB_SYSTEM_NAME: "etcd",
        db.DB_OPERATION_NAME: info.operation,
        http.HTTP_REQUEST_METHOD: info.method,
        server.SERVER_ADDRESS: host,
        server.SERVER_PORT: int(port),
    }
    if info.status is not None:
        expected[http.HTTP_RESPONSE_STATUS_CODE] = info.status
    return {**expected, **more}


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


# --- spans -----------------------------------------------------------------------------------------------------------


def test_each_attempt_is_a_span_below_that_of_its_caller(kind: str, etcd: Server, watched: Watched) -> None:
    with Face(kind, etcd.url, after_attempt=watched.hook) as face:
        with watched.tracer.start_as_current_span("order"):
            face.do(lambda: face.keys.set("/a b", "1"))
            face.do(lambda: face.keys.get("/a b"))
        face.do(lambda: face.keys.get("/a b"))
    order = watched.span("order")
    assert [span.name for span in watched.attempts] == ["put_key", "get_key", "get_key"]
    assert [parent_of(span) for span in watched.attempts] == [id_of(order), id_of(order), None]
    for span, info in zip(watched.attempts, watched.infos, strict=True):
        url = {URL_FULL: f"{etcd.url}/v2/keys/a%20b"}
        assert span.attributes == {**attributes_of(etcd.url, info), **url}
        assert span.status.status_code is StatusCode.UNSET
    assert [info.status for info in watched.infos] == [201, 200, 200]


def test_span_begins_when_the_attempt_began(kind: str, etcd: Server, watched: Watched) -> None:
    with Face(kind, etcd.url, after_attempt=watched.hook) as face:
        with watched.tracer.start_as_current_span("order"):
            face.do(lambda: face.keys.set("/a", "1"))
    (info,), (span,), order = watched.infos, watched.attempts, watched.span("order")
    assert order.start_time is not None
    assert order.end_time is not None
    assert span.start_time is not None
    assert span.end_time is not None
    assert order.start_time <= span.start_time < span.end_time <= order.end_time
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(info.elapsed, abs=1e-6)


def test_failover_is_two_spans_and_the_first_is_an_error(kind: str, etcd: Server, watched: Watched) -> None:
    """Two ways to one etcd. The one that the client is on is cut before the second call."""
    with TcpProxy("127.0.0.1", etcd.port) as one, TcpProxy("127.0.0.1", etcd.port) as other:
        urls = [one.endpoint.url, other.endpoint.url]
        with Face(kind, urls, after_attempt=watched.hook) as face:
            face.do(lambda: face.keys.set("/a", "1"))
            first = watched.infos.pop().endpoint
            watched.exporter.clear()
            broken = one if first == one.endpoint.url else other
            broken.refusing = True
            broken.cut()
            with watched.tracer.start_as_current_span("order"):
                assert face.do(lambda: face.keys.get("/a")).value == "1"
    (second,) = set(urls) - {first}
    failed, went_well = watched.attempts
    info, last = watched.infos
    order = id_of(watched.span("order"))
    assert (parent_of(failed), parent_of(went_well)) == (order, order)
    path = "/v2/keys/a"
    assert failed.attributes == {**attributes_of(first, info), ERROR_TYPE: OTHER, URL_FULL: first + path}
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, info.error)
    assert info.error
    again = {http.HTTP_REQUEST_RESEND_COUNT: 1, URL_FULL: second + path}
    assert went_well.attributes == {**attributes_of(second, last), **again}
    assert went_well.status.status_code is StatusCode.UNSET


def test_refusal_is_an_error_and_an_answer_of_the_store_is_none(kind: str, etcd: Server, watched: Watched) -> None:
    with Face(kind, etcd.url, after_attempt=watched.hook) as face:
        face.do(lambda: face.keys.make_dir("/dir"))
        assert face.do(lambda: face.keys.get("/nobody", default=None)) is None
        for error, work in (
            (etcdv2.KeyExists, lambda: face.keys.create("/dir", "1")),
            (etcdv2.NotFile, lambda: face.keys.set("/dir", "1")),
        ):
            with pytest.raises(error):
                face.do(work)
    assert [info.status for info in watched.infos] == [201, 404, 412, 403]
    assert [span.status.status_code.name for span in watched.attempts] == ["UNSET", "UNSET", "UNSET", "ERROR"]
    refused = watched.attempts[-1]
    assert refused.attributes is not None
    assert refused.attributes[ERROR_TYPE] == "403"
    assert refused.status.description is None


def test_spans_of_threads_stay_apart(etcd: Server, watched: Watched) -> None:
    with etcdv2.Client(etcd.url, after_attempt=watched.hook) as client:
        together = threading.Barrier(8)

        def order(number: int) -> None:
            together.wait(SOON)
            with watched.tracer.start_as_current_span(f"order {number}"):
                for _ in range(5):
                    client.keys.set(f"/order/{number}", "1")

        threads = [threading.Thread(target=order, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
    check_orders(watched, etcd.url)


async def test_spans_of_tasks_stay_apart(etcd: Server, watched: Watched) -> None:
    async with etcdv2.AsyncClient(etcd.url, after_attempt=watched.hook) as client:

        async def order(number: int) -> None:
            with watched.tracer.start_as_current_span(f"order {number}"):
                for _ in range(5):
                    await client.keys.set(f"/order/{number}", "1")

        await asyncio.gather(*map(order, range(8)))
    check_orders(watched, etcd.url)


def check_orders(watched: Watched, url: str) -> None:
    assert len(watched.attempts) == 40
    for number in range(8):
        order = id_of(watched.span(f"order {number}"))
        below = [span.attributes for span in watched.attempts if parent_of(span) == order]
        path = f"{url}/v2/keys/order/{number}"
        assert [attributes and attributes[URL_FULL] for attributes in below] == [path] * 5


def test_poll_of_a_watch_is_below_its_task_and_in_a_thread_below_nothing(
    kind: str, etcd: Server, watched: Watched
) -> None:
    """The sync watch polls in a thread of its own. What is promised is what the example's docstring says."""
    with Face(kind, etcd.url, after_attempt=watched.hook) as face:
        watcher = face.keys.watch("/a")
        with watched.tracer.start_as_current_span("order"):
            face.enter(watcher)
        face.do(watcher.close)
    poll, *_ = [span for span in watched.attempts if span.name == "watch"]
    assert parent_of(poll) == (id_of(watched.span("order")) if kind == "async" else None)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_metrics_hold_every_attempt_and_count_the_failed_ones(kind: str, etcd: Server, watched: Watched) -> None:
    with Face(kind, etcd.url, after_attempt=watched.hook) as face:
        for key in ("/a", "/b", "/c"):
            face.do(partial(face.keys.set, key, "1"))
        assert not face.do(lambda: face.keys.exists("/nobody"))
        for _ in range(2):
            with pytest.raises(etcdv2.NotDir):
                face.do(lambda: face.keys.set("/a/b", "1"))
    nobody = "http://127.0.0.1:1"
    with Face(kind, nobody, after_attempt=watched.hook) as face, pytest.raises(etcdv2.ClusterUnavailable):
        face.do(lambda: face.keys.get("/a"))
    written, missing, refused, lost = (
        [info for info in watched.infos if info.status == status] for status in (201, 404, 400, None)
    )
    assert [len(written), len(missing), len(refused)] == [3, 1, 2]
    assert lost
    wrong = {ERROR_TYPE: "400"}
    gone = {ERROR_TYPE: OTHER}
    failures = [
        (attributes_of(etcd.url, refused[0], **wrong), refused),
        (attributes_of(nobody, lost[0], **gone), lost),
    ]
    every = [
        (attributes_of(etcd.url, written[0]), written),
        (attributes_of(etcd.url, missing[0]), missing),
        *failures,
    ]

    metrics = watched.metrics()
    duration = metrics.pop(HTTP_CLIENT_REQUEST_DURATION)
    failed = metrics.pop("etcd.client.failed_attempts")
    assert not metrics
    assert (duration.unit, failed.unit) == ("s", "{attempt}")
    measured: list[Any] = [
        (dict(point.attributes), point.count, pytest.approx(point.sum)) for point in duration.data.data_points
    ]
    assert measured == [(found, len(infos), sum(info.elapsed for info in infos)) for found, infos in every]
    assert {point.explicit_bounds for point in duration.data.data_points} == {ADVISED}
    counted = [(dict(point.attributes), point.value) for point in failed.data.data_points]
    assert counted == [(found, len(infos)) for found, infos in failures]


# --- what must not be seen, and what must not disturb ----------------------------------------------------------------


def test_no_value_and_no_password_is_shown(kind: str, etcd: Server, watched: Watched) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        settings = {"username": "root", "password": PASSWORD, "after_attempt": watched.hook}
        with Face(kind, proxy.endpoint.url, **settings) as face, watched.tracer.start_as_current_span("order"):
            face.do(lambda: face.keys.set("/a", VALUE))
            face.do(lambda: face.keys.set("/a", VALUE, prev_value=VALUE))
            face.do(lambda: face.client.auth.users.create("amy", PASSWORD))
            with pytest.raises(etcdv2.NotDir):
                face.do(lambda: face.keys.set("/a/b", VALUE))
            proxy.refusing = True
            proxy.cut()
            with pytest.raises(etcdv2.EtcdError):
                face.do(lambda: face.keys.delete("/a", prev_value=VALUE))
    shown = watched.shown()
    assert {span.status.status_code for span in watched.attempts} == {StatusCode.UNSET, StatusCode.ERROR}
    assert f"{proxy.endpoint.url}/v2/auth/users/amy" in shown
    token = base64.b64encode(f"root:{PASSWORD}".encode()).decode()
    for secret in (VALUE, PASSWORD, token):
        assert secret not in shown


class BrokenExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("the collector is on fire")


class BrokenProcessor(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("the collector is on fire")


@pytest.mark.parametrize(
    ("make", "logger"),
    [(lambda: SimpleSpanProcessor(BrokenExporter()), "opentelemetry"), (BrokenProcessor, "etcdv2")],
    ids=["exporter", "processor"],
)
def test_broken_telemetry_does_not_disturb_the_call(
    kind: str, make: Callable[[], SpanProcessor], logger: str, etcd: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """An exporter's error is caught by the SDK, any other by the client."""
    watched = Watched(make())
    with Face(kind, etcd.url, after_attempt=watched.hook) as face:
        assert face.do(lambda: face.keys.set("/a", "1")).value == "1"
        with pytest.raises(etcdv2.KeyExists):
            face.do(lambda: face.keys.create("/a", "1"))
    assert len(watched.attempts) == 2
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name.partition(".")[0] for record in errors] == [logger] * 2
    assert caplog.text.count("RuntimeError: the collector is on fire") == 2


def test_hook_needs_the_api_alone(etcd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["opentelemetry.sdk", *(name for name in sys.modules if name.startswith("opentelemetry.sdk."))]:
        monkeypatch.setitem(sys.modules, name, None)
    example = runpy.run_path(str(EXAMPLE))
    with etcdv2.Client(etcd.url, after_attempt=example["AttemptTelemetry"]()) as client:
        assert client.keys.set("/a", "1").value == "1"
    with pytest.raises(ImportError):
        example["main"]()


# --- the program -----------------------------------------------------------------------------------------------------


def test_program_prints_its_spans_and_metrics_and_leaves_nothing(etcd: Server, etcd_binary: Path) -> None:
    """On an etcd of its own, and on a cluster."""
    for program in [start(EXAMPLE.name, etcd=etcd_binary), start(EXAMPLE.name, f"--endpoints={etcd.url}")]:
        code, out, err = outcome(program)
        assert (code, err) == (0, "")
        *spans, metrics = [json.loads(line) for line in out.splitlines()]
        named = {span["name"]: span for span in spans if span["kind"] == "SpanKind.INTERNAL"}
        tour, order = (named[name]["context"]["span_id"] for name in ("tour", "take an order"))
        attempts = [span for span in spans if span["kind"] == "SpanKind.CLIENT"]
        below = [(span["name"], span["status"]["status_code"]) for span in attempts if span["parent_id"] == order]
        assert below == [("put_key", "UNSET"), ("get_key", "UNSET"), ("put_key", "ERROR")]
        assert {span["parent_id"] for span in attempts} == {tour, order}
        assert "Ada Lovelace" not in out
        (scope,) = metrics["resource_metrics"][0]["scope_metrics"]
        duration, failed = scope["metrics"]
        assert sum(point["count"] for point in duration["data"]["data_points"]) == len(attempts)
        assert [point["value"] for point in failed["data"]["data_points"]] == [1]
    with etcdv2.Client(etcd.url) as client:
        assert client.keys.get("/").node.children == ()


def test_program_says_what_went_wrong_in_one_sentence(etcd: Server) -> None:
    with etcdv2.Client(etcd.url) as client:
        client.keys.set("/opentelemetry_hooks/mine", "precious")
        programs = {
            "/opentelemetry_hooks exists already": start(EXAMPLE.name, f"--endpoints={etcd.url}"),
            "That did not work: ": start(EXAMPLE.name, "--endpoints="),
            "There is no etcd: ": start(EXAMPLE.name),
        }
        for beginning, program in programs.items():
            code, _, err = outcome(program)
            assert code == 1
            assert err.startswith(beginning)
            assert err.count("\n") == 1
        assert client.keys.get("/opentelemetry_hooks/mine").value == "precious"
