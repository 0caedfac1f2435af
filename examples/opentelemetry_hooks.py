"""OpenTelemetry for the attempts of a client: spans, durations, and a count of failures.

    pip install opentelemetry-sdk
    python examples/opentelemetry_hooks.py
    python examples/opentelemetry_hooks.py --endpoints http://10.0.0.1:2379,http://10.0.0.2:2379

`AttemptTelemetry` is what you take into your program; it needs opentelemetry-api alone. The rest
shows it at work, with spans and metrics printed as JSON, one a line. Without --endpoints it starts
an etcd of its own and removes it afterwards. All keys are kept below /opentelemetry_hooks: that
directory must not be there before, and is gone at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

import etcdv2
from etcdv2.testing import Server, ServerNotFound, StartFailed

DIRECTORY = "/opentelemetry_hooks"

ANSWERS = (404, 412)
"""Statuses of 400 and above that are no failures: what etcd says of a key that is not there, and of
a condition that does not hold. The conventions leave it to those who know what a status means.
"""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The buckets that the conventions advise for durations."""


class AttemptTelemetry:
    """For `after_attempt=` of a `Client` or an `AsyncClient`.

    One serves any number of clients, threads and tasks. Names follow OpenTelemetry's conventions
    for databases that are spoken to over HTTP. The keys are in `url.full`; values, queries and
    passwords are nowhere, since the hook does not get them.

    The span is made after the attempt, and begins `elapsed` seconds earlier. So nothing is kept
    between two hooks, and threads and asyncio are alike: the hook is called by the thread or task
    that made the attempt, and the current span is the parent. What a watch of the sync client does
    in a thread of its own has spans without a parent, as that thread has no current span.
    """

    def __init__(self, traces: TracerProvider | None = None, measures: MeterProvider | None = None) -> None:
        """Without providers: the global ones."""
        self._tracer = trace.get_tracer("etcdv2", etcdv2.__version__, traces)
        meter = metrics.get_meter("etcdv2", etcdv2.__version__, measures)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._failed = meter.create_counter(
            "etcd.client.failed_attempts", unit="{attempt}", description="Attempts without an answer, or refused."
        )

    def __call__(self, info: etcdv2.AttemptInfo) -> None:
        # 1. What spans and metrics have in common. Few different values: each combination is a series of its own.
        end = time.time_ns()
        server = urlsplit(info.endpoint)  # always with a host and a port
        attributes: dict[str, str | int] = {
            "db.system.name": "etcd",
            "db.operation.name": info.operation,
            "http.request.method": info.method,
            "server.address": server.hostname or "",
            "server.port": server.port or 0,
        }
        if info.status is not None:
            attributes["http.response.status_code"] = info.status

        # 2. The metrics.
        failed = info.status is None or (info.status >= 400 and info.status not in ANSWERS)
        if failed:
            # `info.error` is a sentence, and this must have few values: `_OTHER` is the conventions' word for the rest.
            attributes["error.type"] = "_OTHER" if info.status is None else str(info.status)
            self._failed.add(1, attributes)
        self._duration.record(info.elapsed, attributes)

        # 3. The span, which has the key too.
        details = {**attributes, "url.full": info.endpoint + info.path}
        if info.number > 1:
            details["http.request.resend_count"] = info.number - 1
        start = end - round(info.elapsed * 1e9)
        span = self._tracer.start_span(info.operation, kind=SpanKind.CLIENT, attributes=details, start_time=start)
        if failed:
            span.set_status(Status(StatusCode.ERROR, info.error))
        span.end(end)


def main() -> None:
    # Only here is the SDK needed.
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    endpoints = read_endpoints()

    # Spans and metrics go to the terminal, one line of JSON each.
    traces = TracerProvider()
    spans_out = ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n")
    traces.add_span_processor(BatchSpanProcessor(spans_out))  # exports from a thread of its own: delays no call
    metrics_out = ConsoleMetricExporter(formatter=lambda data: data.to_json(indent=None) + "\n")
    measures = MeterProvider([PeriodicExportingMetricReader(metrics_out)])
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(measures)

    try:
        if endpoints is not None:
            tour(endpoints)
        else:
            with Server() as server:
                tour([server.url])
    except (ServerNotFound, StartFailed) as error:
        sys.exit(f"There is no etcd: {error}. A cluster of your own goes with --endpoints.")
    except etcdv2.KeyExists:
        sys.exit(f"{DIRECTORY} exists already, and this demo would remove it at the end. Nothing was changed.")
    except (etcdv2.EtcdError, ValueError) as error:  # a ValueError is about the endpoints
        sys.exit(f"That did not work: {error}")
    finally:
        traces.shutdown()  # prints what is still to be printed
        measures.shutdown()


def tour(endpoints: list[str]) -> None:
    tracer = trace.get_tracer(__name__)
    with etcdv2.Client(endpoints, after_attempt=AttemptTelemetry()) as client:
        with tracer.start_as_current_span("tour"):  # the parent of all that follow
            client.keys.make_dir(DIRECTORY)  # raises KeyExists when it is there
            try:
                with tracer.start_as_current_span("take an order"):
                    orders = client.keys.at(DIRECTORY)
                    orders.set("1815", "Ada Lovelace")
                    orders.get("1906", default=None)  # 404, and no error
                    with contextlib.suppress(etcdv2.NotFile):
                        orders.set("", "a value for a directory")  # 403, and an error
            finally:
                client.keys.remove_dir(DIRECTORY, recursive=True)


def read_endpoints() -> list[str] | None:
    parser = argparse.ArgumentParser(description="Spans and metrics of a client's attempts.")
    parser.add_argument("--endpoints", help="URLs of your own cluster, separated by commas; else an etcd is started")
    given: str | None = parser.parse_args().endpoints
    return None if given is None else given.split(",")


if __name__ == "__main__":
    main()
