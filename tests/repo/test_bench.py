"""bench: its figures, its goals, its table and chart, who is left out, and its talk with the drivers.

Says nothing about how quick anything is.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import cases, chart, compare, cores, debian, drivers, figures, moves, peers, pythons, report
from bench.clients import bare_socket
from bench.target import Etcd

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def one(cpu_us: float, rate: float, **more: float) -> dict[str, float]:
    return {"cpu_us": cpu_us, "rate": rate, "spread": 0.05, **more}


RESULTS: dict[str, Any] = {
    "date": "2026-01-02",
    "machine": {"processor": "Test <CPU>", "cores": 2, "kernel": "6.1"},
    "pinned": True,
    "quick": False,
    "rounds": 5,
    "seconds": 600,
    "etcd": "3.5.1",
    "pythons": [
        {"version": "3.11.2", "minor": "3.11", "probe_ms": 10.0},
        {"version": "3.13.1", "minor": "3.13", "probe_ms": 9.0},
    ],
    "versions": {"Go client": {"go": "go1.19"}},
    "left_out": [
        {"name": "node-etcd", "reason": "node and npm are not on the PATH", "case": ""},
        {"name": "k3etcd, Python 3.11", "reason": "ended", "case": "tree"},
    ],
    "cases": {
        "get": {
            "title": "get, one after the other",
            "kind": "get",
            "entries": {
                "etcdv2, Python 3.11": one(20, 10_000),
                "etcdv2, Python 3.13": one(60, 9_000),
                "python-etcd, Python 3.11": one(200, 3_000),
                "bare socket, Python 3.11": one(10, 20_000),
                "Go client": one(50, 8_000),
            },
        },
        "threads-8": {
            "title": "get, 8 threads on one client",
            "kind": "threads",
            "entries": {"etcdv2, Python 3.11": one(20, 11_000), "etcdv2, Python 3.13": one(21, 8_000)},
        },
        "delay": {
            "title": "from a write to its event in a watch",
            "kind": "delay",
            "entries": {"etcdv2, Python 3.11": one(90, 50, delay_us=250.0, delay_us_95=900.0)},
        },
        "import": {
            "title": "import of the library",
            "kind": "import",
            "entries": {
                "etcdv2, Python 3.11": {"ms": 110.0, "mib": 30.0, "spread": 0.1},
                "pydantic, asyncio, ssl, httptools, Python 3.11": {"ms": 80.0, "mib": 25.0, "spread": 0.1},
            },
        },
    },
}


def outcome(case: str, python: str, other: str) -> figures.Outcome:
    found = [
        one
        for one in figures.outcomes(RESULTS)
        if (one.case, one.python) == (case, python) and one.goal.endswith(f" {other}")
    ]
    assert len(found) == 1
    return found[0]


def test_a_summary_has_medians_over_the_rounds_and_the_spread() -> None:
    rounds = [{"calls": 100, "seconds": 1.0, "cpu": cpu} for cpu in (0.001, 0.002, 0.009)]
    found = figures.summary(rounds)
    assert found["cpu_us"] == pytest.approx(20.0)
    assert found["rate"] == pytest.approx(100.0)
    assert found["spread"] == pytest.approx(4.0)


def test_delays_are_condensed_to_the_middle_and_what_nearly_all_stay_below() -> None:
    delays = [number / 1000 for number in range(1, 101)]
    found = figures.summary([figures.condense({"calls": 100, "seconds": 1.0, "cpu": 0.1, "delays": delays})])
    assert found["delay_us"] == pytest.approx(50_500)
    assert found["delay_us_95"] == pytest.approx(96_000)


def test_a_goal_compares_with_the_peer_on_the_same_python() -> None:
    reached = outcome("get", "3.11", "python-etcd")
    assert (reached.measured, reached.reached) == (pytest.approx(0.1), True)
    unknown = outcome("get", "3.13", "python-etcd")
    assert (unknown.measured, unknown.reached) == (None, None)


def test_a_goal_compares_with_a_client_that_is_no_python_on_every_python() -> None:
    assert outcome("get", "3.11", "Go client").reached is True
    assert outcome("get", "3.13", "Go client").reached is False


def test_threads_are_compared_with_one_thread() -> None:
    assert outcome("threads-8", "3.11", "get").reached is True
    assert outcome("threads-8", "3.13", "get").reached is False


def test_the_import_goal_is_a_difference() -> None:
    found = outcome("import", "3.11", "httptools")
    assert (found.measured, found.reached) == (pytest.approx(30.0), True)


def test_goals_of_cases_that_were_not_measured_are_not_listed() -> None:
    assert {one.case for one in figures.outcomes(RESULTS)} == {"get", "threads-8", "import"}


def test_the_table_gives_ratios_to_this_client_and_to_go() -> None:
    text = report.render(RESULTS)
    assert "| python-etcd, Python 3.11 | 200 µs | 10.00 | 4.00 | 3,000 | 0.38 | 5% |" in text
    assert "| **etcdv2, Python 3.11** | 250 µs | 900 µs |" in text


def test_the_report_says_what_was_reached_and_what_was_not() -> None:
    text = report.render(RESULTS)
    assert "| 3.11 | CPU per call | at most 0.5 x Go client | 0.40 x | reached |" in text
    assert "| 3.13 | CPU per call | at most 0.5 x Go client | 1.20 x | **not reached** |" in text
    assert "| +30.0 ms | reached |" in text
    assert "| not measured |" in text


def test_the_report_gives_the_reason_for_each_client_that_is_left_out() -> None:
    text = report.render(RESULTS)
    assert "- node-etcd: node and npm are not on the PATH" in text
    assert "- k3etcd, Python 3.11 (tree): ended" in text


def test_the_report_of_a_quick_run_says_that_it_is_one() -> None:
    assert "quick run" not in report.render(RESULTS)
    assert "quick run" in report.render({**RESULTS, "quick": True})


def test_the_report_names_cores_that_are_shared() -> None:
    assert "Nothing is pinned" in report.render({**RESULTS, "pinned": False})


def test_a_case_in_which_all_failed_is_reported() -> None:
    results = copy.deepcopy(RESULTS)
    results["cases"]["get"]["entries"] = {}
    assert "Nothing was measured." in report.render(results)


@pytest.mark.parametrize(
    ("value", "measure", "text"),
    [
        (12.34, "cpu_us", "12.3 µs"),
        (1234.5, "cpu_us", "1,234 µs"),
        (23_456.0, "cpu_us", "23.5 ms"),
        (234_567.0, "cpu_us", "235 ms"),
        (12_345.6, "rate", "12,346"),
        (7.891, "rate", "7.89"),
    ],
)
def test_amounts_have_three_digits_and_a_unit(value: float, measure: str, text: str) -> None:
    assert report.amount(value, measure) == text


def test_the_chart_is_a_picture_with_the_best_first_and_bars_in_proportion() -> None:
    root = ElementTree.fromstring(chart.draw(RESULTS))
    looks = [(bar.get("class"), float(bar.get("width", ""))) for bar in root.iter(f"{SVG}rect")]
    assert [look for look, _ in looks] == ["limit", "ours", "peer", "ours", "peer"]
    widths = [width for _, width in looks]
    assert widths == sorted(widths)
    assert widths[1] * 10 == pytest.approx(widths[4], rel=0.01)
    names = [text.text for text in root.iter(f"{SVG}text")]
    assert "python-etcd, Python 3.11" in names
    assert "200 µs" in names


def test_the_chart_of_no_figures_is_still_a_picture() -> None:
    root = ElementTree.fromstring(chart.draw({**RESULTS, "cases": {}}))
    assert list(root.iter(f"{SVG}rect")) == []


def test_cases_are_chosen_by_name_or_by_family() -> None:
    assert [case.name for case in cases.chosen(["get", "async"], quick=False)] == [
        "get",
        "async-1",
        "async-32",
        "async-256",
    ]
    with pytest.raises(ValueError, match="no case 'gets'"):
        cases.chosen(["gets"], quick=False)


def test_quick_cases_are_small() -> None:
    quick = cases.chosen([], quick=True)
    assert [case.name for case in quick] == [case.name for case in cases.CASES]
    assert all(case.seconds <= 0.05 and case.keys <= 2_000 and case.events <= 20 for case in quick)


def test_of_several_builds_the_quickest_of_the_first_and_of_the_newest_is_taken() -> None:
    known = [
        pythons.Python(Path(name), version, probe)
        for name, version, probe in [
            ("old", (3, 10, 1), 1.0),
            ("slow", (3, 11, 9), 20.0),
            ("quick", (3, 11, 2), 10.0),
            ("between", (3, 12, 1), 9.0),
            ("newest", (3, 13, 0), 15.0),
        ]
    ]
    assert [str(one.path) for one in pythons.choose(known)] == ["quick", "newest"]
    assert [str(one.path) for one in pythons.choose(known[:3])] == ["quick"]
    assert [str(one.path) for one in pythons.choose(known[3:])] == ["between", "newest"]
    assert pythons.choose(known[:1]) == []


def test_a_python_that_does_not_run_is_none(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert pythons.ask(shim) is None
    with pytest.raises(ValueError, match="no CPython"):
        pythons.found([shim])


def test_peers_that_cannot_be_had_are_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    ready, missing = peers.all_peers([], lambda text: None)
    assert ready == []
    reasons = {one.name: one.reason for one in missing}
    assert reasons["node-etcd"] == "node and npm are not on the PATH"
    assert reasons["Go client"] == "go is not on the PATH"
    assert "wrk" in reasons["wrk"]


@pytest.mark.parametrize(
    ("go", "pins"),
    [("go1.26.8", ("1.26", "v2.305.35")), ("go1.25", ("1.24", "v2.305.23")), ("go1.19.8", ("1.19", "v2.305.9"))],
)
def test_the_official_client_is_the_newest_that_the_go_that_is_there_can_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, go: str, pins: tuple[str, str]
) -> None:
    (tmp_path / "go").write_text(f"#!/bin/sh\n[ $1 = build ] || echo {go}\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(peers, "CACHE", tmp_path / "cache")
    peers.go_client()
    written = (tmp_path / "cache" / "go" / "go.mod").read_text()
    assert f"go {pins[0]}\n" in written
    assert f"require go.etcd.io/etcd/client/v2 {pins[1]}\n" in written


def test_a_go_that_is_too_old_for_every_official_client_is_named() -> None:
    with pytest.raises(debian.NotToBeHad, match=r"go1\.18\.2 is older than"):
        peers.go_client_for("go1.18.2\n")


def test_packages_that_cannot_be_installed_leave_out_the_clients_of_that_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "CACHE", tmp_path)
    broken = pythons.Python(tmp_path / "nothing", (3, 11, 0), 1.0)
    (tmp_path / "nothing").write_text("#!/bin/sh\necho 'no such module: venv' >&2\nexit 1\n")
    (tmp_path / "nothing").chmod(0o755)
    found = [ready for _, ready in peers.python_clients(broken)]
    assert len(found) == len(peers.PYTHON_CLIENTS)
    assert {one.reason for one in found if isinstance(one, peers.LeftOut)} == {"nothing: no such module: venv"}


def test_what_was_unpacked_before_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "debian" / "wrk").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.unpacked(debian.WRK, tmp_path) == tmp_path / "debian" / "wrk"


def test_the_figures_of_wrk_are_read_from_what_it_prints() -> None:
    text = "Running 1s test @ http://x\n  1 threads and 32 connections\n  28270 requests in 1.10s, 9.65MB read\n"
    assert drivers.read_wrk(text, 0.5) == {"calls": 28270, "seconds": 1.1, "cpu": 0.5}
    with pytest.raises(drivers.Failed, match="unable to connect"):
        drivers.read_wrk("unable to connect to 127.0.0.1:1 Connection refused\n", 0.0)
    with pytest.raises(drivers.Failed, match="Non-2xx"):
        drivers.read_wrk(f"{text}  Non-2xx or 3xx responses: 7\n", 0.0)


def test_the_client_has_a_core_of_its_own_where_there_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda pid: {2, 5, 7})
    assert cores.share(pin=True) == cores.Cores(frozenset({2}), frozenset({5, 7}))
    assert not cores.share(pin=False).pinned
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda pid: {4})
    assert not cores.share(pin=True).pinned


# --- with a real etcd -------------------------------------------------------------------------------------------------

SHARED = cores.share(pin=False)
ENV = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("bench"), SHARED, None) as server:
        yield server


def driver(name: str, module: str, **options: object) -> peers.Peer:
    command = (sys.executable, "-m", f"bench.clients.{module}")
    return peers.Peer(name, "3.11", command, peers.ALL | peers.PAST, ENV, options)


def case_of(name: str) -> cases.Case:
    (case,) = cases.chosen([name], quick=True)
    return case


@pytest.mark.load
@pytest.mark.parametrize(
    "name", ["get", "set", "past", "threads-8", "async-32", "tls", "tree", "load", "delay", "burst"]
)
def test_this_client_is_measured_in_every_case(etcd: Etcd, name: str) -> None:
    case = case_of(name)
    entries, failed, versions = compare.run_case(case, [driver("etcdv2", "ours")], etcd, SHARED, 1, lambda text: None)
    assert failed == []
    found = entries["etcdv2, Python 3.11"]
    assert found["rate"] > 0
    assert found["rounds"][0]["calls"] >= (case.events or 1)
    assert ("delay_us" in found) == (name == "delay")
    assert "etcdv2" in versions["etcdv2, Python 3.11"]


@pytest.mark.parametrize("name", ["get", "past"])
def test_this_client_is_measured_as_python_etcd(etcd: Etcd, name: str) -> None:
    compat = replace(driver("etcdv2 as python-etcd", "python_etcd"), options={"module": "etcdv2.compat.python_etcd"})
    entries, failed, versions = compare.run_case(case_of(name), [compat], etcd, SHARED, 1, lambda text: None)
    assert failed == []
    assert entries["etcdv2 as python-etcd, Python 3.11"]["rate"] > 0
    assert "etcdv2" in versions["etcdv2 as python-etcd, Python 3.11"]


@pytest.mark.parametrize("name", ["async-1", "async-32"])
def test_this_client_is_measured_on_uvloop(etcd: Etcd, name: str) -> None:
    uvloop = driver("etcdv2 on uvloop", "ours", uvloop=True)
    entries, failed, versions = compare.run_case(case_of(name), [uvloop], etcd, SHARED, 1, lambda text: None)
    assert failed == []
    assert entries["etcdv2 on uvloop, Python 3.11"]["rate"] > 0
    assert "uvloop" in versions["etcdv2 on uvloop, Python 3.11"]


@pytest.mark.load
@pytest.mark.parametrize("name", ["get", "tls", "tree"])
def test_the_limits_are_measured_beside_a_client(etcd: Etcd, name: str) -> None:
    case = case_of(name)
    both = [driver("bare socket", "bare_socket"), driver("httpx + json", "plain_httpx")]
    entries, failed, _ = compare.run_case(case, both, etcd, SHARED, 2, lambda text: None)
    assert failed == []
    assert [len(found["rounds"]) for found in entries.values()] == [2, 2]


@pytest.mark.load
def test_a_client_that_fails_is_left_out_of_the_case_with_its_last_words(etcd: Etcd) -> None:
    script = "import sys; print('{\"ready\": true}', flush=True); input(); sys.exit('first\\nno such thing')"
    clients = [
        peers.Peer("late", command=(sys.executable, "-c", script)),
        peers.Peer("early", command=(sys.executable, "-c", "raise SystemExit('not today')")),
        peers.Peer("absent", command=(str(ROOT / "no such program"),)),
        driver("bare socket", "bare_socket"),
    ]
    entries, failed, _ = compare.run_case(case_of("get"), clients, etcd, SHARED, 1, lambda text: None)
    assert list(entries) == ["bare socket, Python 3.11"]
    reasons = {one.name: one.reason for one in failed}
    assert reasons["late"] == "no such thing"
    assert reasons["early"] == "not today"
    assert "no such program" in reasons["absent"]
    assert {one.case for one in failed} == {"get"}


def test_the_bare_socket_reads_bodies_of_every_length(etcd: Etcd) -> None:
    host, _, port = etcd.url(tls=False).removeprefix("http://").partition(":")
    wire = bare_socket.Wire(host, int(port))
    etcd.write([(f"/sizes/k{number:04}", "x" * 100) for number in range(500)])
    head, body = wire.exchange(wire.get("/v2/keys/sizes?recursive=true"))
    assert b"Transfer-Encoding: chunked" in head
    assert body.count(b'"key":"/sizes/k') == 500
    head, body = wire.exchange(wire.put("/sizes/one", "a b&c"))
    assert b'"value":"a b\\u0026c"' in body
    assert bare_socket.index_of(head) >= 500
    with pytest.raises(ValueError, match="404"):
        wire.exchange(wire.get("/v2/keys/nowhere"))
    wire.close()


@pytest.mark.load
def test_keys_are_moved_and_the_steps_have_their_figures() -> None:
    (case,) = cases.chosen(["moves"], quick=True)
    entries, failed = moves.run(case, [driver(peers.OURS, "ours")], None, SHARED, lambda text: None)
    assert failed == []
    found = entries["etcdv2, Python 3.11"]
    assert len(found["steps"]) == 9
    assert all(one["seconds"] > 0 and one["memory"] > 1 for one in found["steps"].values())
    results = copy.deepcopy(RESULTS)
    results["cases"]["moves"] = {"title": case.title, "kind": case.kind, "entries": entries}
    assert "| read over HTTP |" in report.render(results)


@pytest.mark.load
def test_an_import_is_timed_in_an_interpreter_of_its_own() -> None:
    ours = driver(peers.OURS, "ours")
    entries, failed = compare.run_imports([ours], SHARED, 1, lambda text: None)
    assert failed == []
    assert set(entries) == {"etcdv2, Python 3.11", f"{figures.BASELINE}, Python 3.11"}
    assert all(found["ms"] > 0 and found["mib"] > 1 for found in entries.values())
