"""Which etcd versions and which transports the tests run over; the check of every answer; what pytest prints of it."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._sync.httpx_transport import HttpxTransport
from etcdv2._transport.lookup import resolver
from etcdv2._transport.loop import AsyncFastTransport
from etcdv2._transport.threads import FastTransport
from etcdv2.testing import Certificates, Server, find_binary, make_certificates, server_version
from tests.tools import boxes, browser, described, newer, programs
from tests.tools.covering import EVERY, Sides, covering

pytest_plugins = ["etcdv2.testing.fixtures", "tests.tools.thorough"]

BINARIES = [Path(path).absolute() for path in os.environ.get("ETCDV2_TEST_BINARIES", "").split(os.pathsep) if path] or [
    find_binary(None)
]
VERSIONS = [server_version(path) for path in BINARIES]
SUPPORTED = ["3.4", "3.5"]
LEFT_OUT = [wanted for wanted in SUPPORTED if not any(version.startswith(f"{wanted}.") for version in VERSIONS)]
TRANSPORTS = ["fast", "httpx"]
FIRST_VERSION = pytest.mark.parametrize("etcd_binary", BINARIES[:1], ids=VERSIONS[:1], indirect=True)
"""For what no server's version has a part in, such as forks, cancellation and what a client's process leaves behind."""


def pytest_report_header() -> list[str]:
    shown = ", ".join(f"{version} ({path})" for version, path in zip(VERSIONS, BINARIES, strict=True))
    return [f"etcd versions: {shown}", *left_out()]


def left_out() -> list[str]:
    """Which of the versions that the library is made for these tests do not run on, for want of a binary."""
    versions = ", ".join(LEFT_OUT)
    lines = [f"LEFT OUT: etcd {versions}, no binary is here (ETCDV2_TEST_BINARIES names them)"] if versions else []
    lines += [f"LEFT OUT: what goes through {box}: {why}" for box, why in boxes.missing().items()]
    lines += [f"LEFT OUT: the tests with {program}: {why}" for program, why in programs.missing().items()]
    if why := browser.missing():
        lines.append(f"LEFT OUT: the site in a browser: {why}")
    built = "it is not built; make test-load does that where go is"
    return lines + [f"LEFT OUT: the tests with etcd {version}: {built}" for version in newer.missing()]


def pytest_sessionstart() -> None:
    """`ETCDV2_TEST_VERSIONS=3.4,3.5`, `ETCDV2_TEST_BOXES=nginx,haproxy` and `ETCDV2_TEST_BROWSER=1` fail the run
    when one is missing.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell without job control starts `make test &` like that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup starts it like that, and what it starts
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for wanted in filter(None, os.environ.get("ETCDV2_TEST_VERSIONS", "").split(",")):
        if not any(version.startswith(f"{wanted}.") for version in VERSIONS):
            raise pytest.UsageError(f"etcd {wanted} is wanted, found {', '.join(VERSIONS)}")
    for wanted in filter(None, os.environ.get("ETCDV2_TEST_BOXES", "").split(",")):
        if wanted not in boxes.PROGRAMS or wanted in boxes.missing():
            raise pytest.UsageError(f"{wanted} is wanted: {boxes.missing().get(wanted, 'no such box')}")
    if os.environ.get("ETCDV2_TEST_BROWSER") and browser.missing():
        raise pytest.UsageError(f"a browser is wanted: {browser.missing()}")


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


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Without the collector, and its later runs without what is here to stay: the tests are a million objects."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Which combinations of face, transport and version are run, and in which order."""
    # What goes through middle boxes is left out where they are missing, and the summary says so.
    if boxes.missing():
        through = [item for item in items if item.get_closest_marker("boxes") is not None]
        config.hook.pytest_deselected(items=through)
        items[:] = [item for item in items if item not in through]

    # So are programs that were written for python-etcd.
    if lacking := programs.missing().keys():
        without = [item for item in items if any(lacking & {*mark.args} for mark in item.iter_markers("programs"))]
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]

    # So is what leads to etcd 3.6 and 3.7.
    if newer.missing():
        onward = [item for item in items if item.get_closest_marker("newer") is not None]
        config.hook.pytest_deselected(items=onward)
        items[:] = [item for item in items if item not in onward]

    # So is what looks at the site.
    if browser.missing():
        seen = [item for item in items if item.get_closest_marker("browser") is not None]
        config.hook.pytest_deselected(items=seen)
        items[:] = [item for item in items if item not in seen]

    # What needs a cluster comes together: else each process would have one, and it is busy while it is idle.
    places = {item: _place(item) for item in items}
    items.sort(key=lambda item: (VERSIONS.index(version) if (version := places[item][1][2]) else -1, _in_cluster(item)))

    # Each case with each face, over each transport and on each version, but not with all combinations of them.
    if os.environ.get(EVERY):
        return
    product: dict[str, list[Sides]] = {}
    for case, sides in places.values():
        product.setdefault(case, []).append(sides)
    chosen = {case: covering(case, rows) for case, rows in product.items()}

    left_out = {item for item, (case, sides) in places.items() if sides not in chosen[case]}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def _in_cluster(item: pytest.Item) -> bool:
    return "etcd_session_cluster" in getattr(item, "fixturenames", ())


def _place(item: pytest.Item) -> tuple[str, Sides]:
    """The name of the case, whichever sides it is run with; and these: face, transport, version."""
    params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    face = "async" if "/_async/" in item.nodeid else "sync" if "/_sync/" in item.nodeid else params.get("kind")
    face = face if face in ("async", "sync") else None
    binary = params.get("etcd_binary")
    sides = (face, params.get("transport"), VERSIONS[BINARIES.index(binary)] if binary else None)

    test, _, ids = item.nodeid.replace("/_async/", "/").replace("/_sync/", "/").partition("[")
    case = [one for one in ids.removesuffix("]").split("-") if one not in sides]
    return f"{test}[{'-'.join(case)}", sides


@pytest.fixture(scope="session", params=BINARIES, ids=VERSIONS)
def etcd_binary(request: pytest.FixtureRequest) -> Path:
    """Each version in turn, for every test that uses a real server."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
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
    monkeypatch.setattr("etcdv2._core.call.route.SECOND_ROUND_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def no_addresses_of_other_tests() -> None:
    """A look-up that fails gives what was answered last, which may have been in another test."""
    resolver.forget()


@pytest.fixture(scope="session", autouse=True)
def every_answer_is_described() -> Iterator[None]:
    with described.every_answer_checked([AsyncFastTransport, AsyncHttpxTransport], [FastTransport, HttpxTransport]):
        yield
