"""bench: the cases of watches, what they count as lost, how they are shown, and the way that can be cut.

Says nothing about how quick anything is.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench import cases, compare, figures, peers, report, watching
from bench.clients.bare_socket import Wire
from bench.clients.watched import Record
from bench.relay import HOST, Relay
from bench.target import Etcd
from tests.repo import test_bench
from tests.repo.test_bench import RESULTS, SHARED, case_of, driver

etcd = test_bench.etcd
SETTLED = 0.2
WATCHES = [case.name for case in cases.CASES if case.name.startswith("watch-")]


def canned(name: str, answer: dict[str, object]) -> peers.Peer:
    """A client that watches nothing, and says this."""
    said = json.dumps({"calls": 1, "seconds": 1.0, "cpu": 0.1, **answer})
    return scripted(name, f"print('{{}}', flush=True); input(); print({said!r}, flush=True); input()")


def scripted(name: str, script: str) -> peers.Peer:
    return peers.Peer(name, command=(sys.executable, "-c", script), kinds=peers.FOLLOW)


DEAF = """
import json, sys, urllib.request
order = json.loads(sys.argv[1])
print('{}', flush=True)
input()
for wanted in ("0 ", "-1 "):
    while True:
        with urllib.request.urlopen(f"{order['url']}/v2/keys{order['key']}") as answer:
            if json.load(answer)["node"]["value"].startswith(wanted):
                break
print('{"calls": 0, "seconds": 1.0, "cpu": 0.1}', flush=True)
input()
"""
"""A client that does not report the event, but does notice the end that is written after it."""


def run(etcd: Etcd, case: cases.Case, *clients: peers.Peer) -> tuple[dict[str, compare.Figures], dict[str, str]]:
    """The entries, and who failed with what."""
    entries, failed, _ = compare.run_case(case, list(clients), etcd, SHARED, 1, lambda text: None)
    return entries, {one.name: one.reason for one in failed}


@pytest.mark.parametrize(
    ("seen", "missing", "doubled", "disorder"),
    [
        ([0, 1, 2, 3], 0, 0, 0),
        ([0, 1, 3], 1, 0, 0),
        ([], 4, 0, 0),
        ([0, 1, 1, 2, 3], 0, 1, 0),
        ([0, 2, 1, 3], 0, 0, 1),
        ([2, 3, 0, 1, 0], 0, 1, 2),
    ],
)
def test_events_that_never_came_came_twice_or_too_late_are_counted(
    seen: list[int], missing: int, doubled: int, disorder: int
) -> None:
    found = watching.judge(seen, 4)
    assert found == {"got": 4 - missing, "missing": missing, "doubled": doubled, "disorder": disorder}


def test_of_the_events_the_worst_round_counts_and_of_the_words_the_first() -> None:
    rounds = [
        {"calls": 1, "seconds": 1.0, "cpu": 0.1, "said": said, **watching.judge(seen, 3)}
        for seen, said in (([0, 1, 2], ""), ([0], "gone"), ([2, 1, 0], "lost"))
    ]
    found = figures.summary(rounds)
    assert {name: found[name] for name in ("got", "missing", "doubled", "disorder", "said")} == {
        "got": 1,
        "missing": 2,
        "doubled": 0,
        "disorder": 2,
        "said": "gone",
    }


def test_no_delay_is_given_where_an_event_never_came() -> None:
    seen = figures.condense({"calls": 1, "seconds": 1.0, "cpu": 0.1, "delays": [0.001]})
    silent = figures.condense({"calls": 0, "seconds": 1.0, "cpu": 0.1, "delays": []})
    assert "delay_us" in figures.summary([seen])
    assert "delay_us" not in figures.summary([seen, silent])


def test_a_record_ends_with_the_last_event_or_the_number_below_0() -> None:
    stamp = time.monotonic_ns()
    counted, open_end = Record(2), Record(0)
    assert [counted.take(f"{number} {stamp}") for number in (5, 6)] == [False, True]
    assert [open_end.take(f"{number} {stamp}") for number in (5, 6, -1)] == [False, False, True]
    assert open_end.figures()["seen"] == [5, 6]
    assert open_end.figures(ValueError("first\nsecond"))["said"] == "ValueError: first"
    assert open_end.figures(ValueError({"status": 400, "message": "cleared"}))["said"] == "ValueError: cleared"


def test_each_kind_of_watch_has_a_table_of_its_own() -> None:
    entry = {
        "cpu_us": 20.0,
        "delay_us": 250.0,
        "delay_us_99": 900.0,
        "others": 500.0,
        "written": 1000.0,
        "bytes": 2048.0,
        "said": f"a|{'b' * 200}",
        **watching.judge([0, 2], 3),
    }
    kinds = {case.kind for case in cases.CASES if case.name in WATCHES}
    text = report.render(
        {**RESULTS, "cases": {kind: {"title": kind, "kind": kind, "entries": {"Go client": entry}} for kind in kinds}}
    )
    said = f"a\\|{'b' * (report.LONG - 2)} …"
    assert "| Go client | 250 µs | 900 µs | 20 µs | 500 |" in text
    assert f"| Go client | 2 | 1 | 0 | 0 | 20 µs | 1,000 | {said} |" in text
    assert "| Go client | 2.0 KiB | 250 µs | 900 µs | 20 µs | 1 |" in text
    assert f"| Go client | 250 µs | 20 µs | 500 | {said} |" in text


def test_the_watches_are_chosen_together() -> None:
    assert [case.name for case in cases.chosen(["watch"], quick=True)] == WATCHES


# --- with a real etcd -------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def small_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SETTLE", SETTLED)


@pytest.mark.load
@pytest.mark.parametrize("name", WATCHES)
def test_this_client_is_measured_in_every_watch(etcd: Etcd, name: str) -> None:
    case = case_of(name)
    clients = [driver("async", "ours", **{"async": True})]
    if case.kind != "many":
        clients.append(driver("sync", "ours"))
    entries, failed = run(etcd, case, *(replace(one, kinds=frozenset({case.kind})) for one in clients))
    assert failed == {}
    assert len(entries) == len(clients)
    for found in entries.values():
        # Beside other writes a watch that cannot follow, or begins too late, on a busy machine, says so.
        assert found["missing"] == 0 or (case.kind in ("quiet", "loaded") and "cleared" in found["said"])
        assert found["said"] == "" or found["missing"]
        assert found["doubled"] == 0
        assert found["disorder"] == 0 or case.workers > 1  # the order is each watch's own
        assert found["missing"] or found["delay_us"] > 0
        assert ("bytes" in found) == (case.kind == "many")


@pytest.mark.load
def test_what_a_client_loses_is_shown_with_what_it_says(etcd: Etcd) -> None:
    honest = canned("honest", {"seen": [0, 1], "delays": [0.1, 0.1], "said": "401: cleared"})
    quiet = canned("quiet", {"seen": [0, *range(5, 20)], "delays": [0.1] * 16})
    entries, failed = run(etcd, case_of("watch-paced"), honest, quiet)
    assert failed == {}
    assert [(one["got"], one["missing"], one["said"]) for one in entries.values()] == [
        (2, 18, "401: cleared"),
        (16, 4, ""),
    ]


@pytest.mark.load
def test_a_watcher_of_a_quiet_key_that_reports_nothing_is_brought_to_its_end(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LIMIT_SECONDS", 1.0)
    quick = canned("quick", {"seen": [0], "delays": [0.1]})
    entries, failed = run(etcd, case_of("watch-quiet"), quick, scripted("deaf", DEAF))
    assert failed == {}
    assert [(name, one["missing"], one["said"]) for name, one in entries.items()] == [
        ("quick", 0, ""),
        ("deaf", 1, watching.NEVER),
    ]


@pytest.mark.load
def test_clients_that_hang_or_end_are_left_out_of_the_quiet_key(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LIMIT_SECONDS", 0.2)
    mute = scripted("mute", "print('{}', flush=True); input(); input()")
    gone = scripted("gone", "print('{}', flush=True)")
    entries, failed = run(etcd, case_of("watch-quiet"), mute, gone)
    assert entries == {}
    assert failed == {"mute": "no answer within 0 s", "gone": "ended"}


@pytest.mark.load
def test_other_keys_are_written_at_the_rate_that_is_asked_for(etcd: Etcd) -> None:
    before = etcd.index()
    with etcd.others(200) as others:
        time.sleep(0.5)
    written = etcd.index() - before
    assert 20 <= written <= 300
    assert 20 <= others.rate <= 210


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything twice."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            for _ in range(2):
                near, _ = listener.accept()
                with near:
                    while data := near.recv(100):
                        near.sendall(data * 2)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_way_that_is_cut_breaks_what_is_open_and_takes_new_connections(echo: int) -> None:
    relay = Relay(echo)
    for _ in range(2):
        with socket.create_connection((HOST, relay.port)) as near:
            near.settimeout(5)
            near.sendall(b"a")
            assert near.recv(100) == b"aa"
            relay.cut()
            assert near.recv(100) == b""
    relay.close()
    with pytest.raises(ConnectionRefusedError):
        Wire(HOST, relay.port)
