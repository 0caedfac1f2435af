"""Which etcd versions and which lanes the tests run over; the check of every answer; what pytest prints of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2._async.httpx_lane import AsyncHttpxTransport
from etcdv2._lanes.loop import AsyncFastTransport
from etcdv2._lanes.threads import FastTransport
from etcdv2._sync.httpx_lane import HttpxTransport
from etcdv2.testing import find_binary, server_version
from tests import described

pytest_plugins = ["etcdv2.testing.fixtures"]

BINARIES = [Path(path).absolute() for path in os.environ.get("ETCDV2_TEST_BINARIES", "").split(os.pathsep) if path] or [
    find_binary(None)
]
VERSIONS = [server_version(path) for path in BINARIES]
LANES = ["fast", "httpx"]


def pytest_report_header() -> list[str]:
    shown = ", ".join(f"{version} ({path})" for version, path in zip(VERSIONS, BINARIES, strict=True))
    return [f"etcd versions: {shown}"]


def pytest_sessionstart() -> None:
    """`ETCDV2_TEST_VERSIONS=3.4,3.5` fails the run when one of them is missing."""
    for wanted in filter(None, os.environ.get("ETCDV2_TEST_VERSIONS", "").split(",")):
        if not any(version.startswith(f"{wanted}.") for version in VERSIONS):
            raise pytest.UsageError(f"etcd {wanted} is wanted, found {', '.join(VERSIONS)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # one of several processes (pytest-xdist)
        output["checked"] = described.checked


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for method, count in getattr(node, "workeroutput", {}).get("checked", {}).items():
        described.checked[method] = described.checked.get(method, 0) + count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    total = sum(described.checked.values())
    terminalreporter.write_line(f"answers of real servers checked against the description: {total}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The lane makes no difference to a server: the httpx lane is tried on the first version only."""
    left_out = [item for item in items if any(f"[{version}-httpx" in item.nodeid for version in VERSIONS[1:])]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", params=BINARIES, ids=VERSIONS)
def etcd_binary(request: pytest.FixtureRequest) -> Path:
    """Each version in turn, for every test that uses a real server."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    """Which transport a test's clients use."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session", autouse=True)
def every_answer_is_described() -> Iterator[None]:
    with described.every_answer_checked([AsyncFastTransport, AsyncHttpxTransport], [FastTransport, HttpxTransport]):
        yield
