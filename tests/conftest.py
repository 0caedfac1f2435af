"""Which etcd versions and which lanes the tests run over; the check of every answer; what pytest prints of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._sync.httpx_transport import HttpxTransport
from etcdv2._transport.loop import AsyncFastTransport
from etcdv2._transport.threads import FastTransport
from etcdv2.testing import Certificates, Server, find_binary, make_certificates, server_version
from tests.tools import described

pytest_plugins = ["etcdv2.testing.fixtures"]

BINARIES = [Path(path).absolute() for path in os.environ.get("ETCDV2_TEST_BINARIES", "").split(os.pathsep) if path] or [
    find_binary(None)
]
VERSIONS = [server_version(path) for path in BINARIES]
SUPPORTED = ["3.4", "3.5"]
LEFT_OUT = [wanted for wanted in SUPPORTED if not any(version.startswith(f"{wanted}.") for version in VERSIONS)]
LANES = ["fast", "httpx"]
FIRST_VERSION = pytest.mark.parametrize("etcd_binary", BINARIES[:1], ids=VERSIONS[:1], indirect=True)
"""For what no server's version has a part in, such as forks, cancellation and what a client's process leaves behind."""


def pytest_report_header() -> list[str]:
    shown = ", ".join(f"{version} ({path})" for version, path in zip(VERSIONS, BINARIES, strict=True))
    return [f"etcd versions: {shown}", *left_out()]


def left_out() -> list[str]:
    """Which of the versions that the library is made for these tests do not run on, for want of a binary."""
    versions = ", ".join(LEFT_OUT)
    return [f"LEFT OUT: etcd {versions}, no binary is here (ETCDV2_TEST_BINARIES names them)"] if versions else []


def pytest_sessionstart() -> None:
    """`ETCDV2_TEST_VERSIONS=3.4,3.5` fails the run when one of them is missing."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell without job control starts `make test &` like that
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
    for line in left_out():
        terminalreporter.write_line(line, yellow=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The lane makes no difference to a server: the httpx lane is tried on the first version only."""
    later = BINARIES[1:]
    left_out = [item for item in items if _given(item, "lane") == "httpx" and _given(item, "etcd_binary") in later]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _given(item: pytest.Item, name: str) -> object:
    """The parameter of this name, if the test has one."""
    return item.callspec.params.get(name) if hasattr(item, "callspec") else None


@pytest.fixture(scope="session", params=BINARIES, ids=VERSIONS)
def etcd_binary(request: pytest.FixtureRequest) -> Path:
    """Each version in turn, for every test that uses a real server."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    """Which transport a test's clients use."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of one private authority: a server's and a client's."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(etcd_binary: Path, certificates: Certificates) -> Iterator[Server]:
    """A server that speaks TLS only."""
    with Server(etcd_binary, tls=certificates.server(), fsync=False) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(etcd_binary: Path, certificates: Certificates) -> Iterator[Server]:
    """A server that wants TLS, a client certificate, and the password "secret" of root."""
    tls = certificates.server(client_cert_auth=True)
    with Server(etcd_binary, tls=tls, auth=("root", "secret"), fsync=False) as server:
        yield server


@pytest.fixture
def second_round_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that every endpoint fails do not pause before they ask again."""
    monkeypatch.setattr("etcdv2._core.call.route.SECOND_ROUND_WITHIN", 0.01)


@pytest.fixture(scope="session", autouse=True)
def every_answer_is_described() -> Iterator[None]:
    with described.every_answer_checked([AsyncFastTransport, AsyncHttpxTransport], [FastTransport, HttpxTransport]):
        yield
