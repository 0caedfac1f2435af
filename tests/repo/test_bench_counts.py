"""bench: how many system calls and Python frames a call costs, how they are counted, and how they are shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import cases, counts, debian, peers, report
from bench.target import Etcd
from tests.repo import test_bench
from tests.repo.test_bench import RESULTS, SHARED, driver

etcd = test_bench.etcd

STRAY = 0.15
"""System calls per call that belong to none: memory that grows, the collector, answers that came one by one."""
SAMPLES = 2
BATCHED = 10
"""Loops of calls, of which the least counts. With many tasks, where the server is kept from running, each answer comes
by itself, and the loop waits for each."""
LOG = """\
10 execve("python", ["python"], 0x7ffe /* 10 vars */) = 0
10 write(1, ""..., 9)                   = 9
10 read(0, ""..., 4096)                 = 15
11 futex(0x7f00, FUTEX_WAIT, 0, NULL <unfinished ...>
10 write(12, ""..., 80)                 = 80
11 <... futex resumed>)                 = 0
--- SIGCHLD {si_signo=SIGCHLD} ---
10 write(1, ""..., 40 <unfinished ...>
10 <... write resumed>)                 = 40
10 exit_group(0)                        = ?
10 +++ exited with 0 +++
"""
"""Of strace: a start, one measurement, an end."""


def counted(name: str) -> cases.Case:
    (case,) = (one for one in cases.COUNTED if one.name == name)
    return case


@pytest.fixture
def tracer() -> counts.Strace:
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    try:
        return counts.strace()
    except debian.NotToBeHad as reason:
        pytest.skip(f"no strace here: {reason}")


@pytest.mark.load
@pytest.mark.parametrize(
    ("name", "most", "samples"),
    [
        ("get", 2, SAMPLES),
        ("set", 3, SAMPLES),
        ("async-get-1", 4, SAMPLES),
        ("async-set-1", 4, SAMPLES),
        ("async-get-32", 2.1, BATCHED),
    ],
)
def test_a_call_makes_no_more_system_calls_than_these(
    etcd: Etcd, tracer: counts.Strace, name: str, most: float, samples: int
) -> None:
    assert counts.syscalls_per_call(counted(name), etcd, tracer=tracer, samples=samples) <= most + STRAY


@pytest.mark.parametrize("name", ["get", "set"])
def test_a_bare_socket_needs_two_system_calls_and_the_drivers_loop_is_not_counted(
    etcd: Etcd, tracer: counts.Strace, name: str
) -> None:
    bare = driver("bare socket", "bare_socket")
    assert counts.syscalls_per_call(counted(name), etcd, bare, tracer=tracer) == pytest.approx(2, abs=STRAY)
    assert counts.frames_per_call(counted(name), etcd, bare) == 1


@pytest.mark.load
@pytest.mark.parametrize("case", cases.COUNTED, ids=lambda case: case.name)
def test_the_frames_of_this_client_are_counted_in_every_case(etcd: Etcd, case: cases.Case) -> None:
    assert 10 < counts.frames_per_call(case, etcd) < 200


@pytest.mark.load
def test_on_uvloop_fewer_frames_are_entered_as_its_loop_has_none(etcd: Etcd) -> None:
    case = counted("async-get-1")
    uvloop = driver("etcdv2 on uvloop", "ours", uvloop=True)
    assert counts.frames_per_call(case, etcd, uvloop) < counts.frames_per_call(case, etcd)


def test_a_system_call_counts_once_however_many_lines_it_has_and_answers_divide_the_log() -> None:
    assert counts.between_answers(LOG.splitlines()) == [2, 4, 1]


def test_without_strace_frames_are_counted_and_the_report_says_so(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> counts.Strace:
        raise debian.NotToBeHad("apt-get is missing")

    monkeypatch.setattr(counts, "strace", nowhere)
    bare = driver("bare socket", "bare_socket")
    bare = peers.Peer(bare.name, bare.python, bare.command, frozenset({"counts", "get"}), bare.env)
    absent = peers.Peer("absent", command=("/no such program",), kinds=bare.kinds)
    entries, failed = counts.run([bare, absent, driver("other", "ours")], etcd, SHARED, lambda text: None)
    assert entries == {"bare socket, Python 3.11": {"syscalls": {}, "frames": {"get": 1}}}
    assert failed[0] == peers.LeftOut("system calls", "no strace here: apt-get is missing", "counts")
    assert [one.name for one in failed] == ["system calls", "absent"]

    text = report.render({**RESULTS, "cases": {"counts": {"title": "counts", "kind": "counts", "entries": entries}}})
    assert "system calls: no strace here." in text
    assert "| Python frames | get |" in text
    assert "| bare socket, Python 3.11 | 1 |" in text


def test_each_count_has_a_table_with_the_cases_that_anybody_has() -> None:
    entries = {
        "etcdv2, Python 3.11": {"syscalls": {"get": 4.0, "async get": 5.0}, "frames": {"get": 66.0, "async get": 97.0}},
        "httpx + json, Python 3.11": {"syscalls": {"get": 8.0}, "frames": {"get": 1925.0}},
    }
    text = report.render({**RESULTS, "cases": {"counts": {"title": "counts", "kind": "counts", "entries": entries}}})
    assert "| system calls | get | async get |" in text
    assert "| **etcdv2, Python 3.11** | 4.00 | 5.00 |" in text
    assert "| httpx + json, Python 3.11 | 8.00 |  |" in text
    assert "| httpx + json, Python 3.11 | 1,925 |  |" in text


@pytest.mark.load
def test_strace_is_taken_from_the_cache_where_the_machine_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "debian" / "strace" / "usr" / "bin" / "strace"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    (binary.parent.parent / "lib" / "any-linux-gnu").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = counts.strace(tmp_path)
    assert found.command[0] == str(binary)
    assert found.env["LD_LIBRARY_PATH"].endswith("any-linux-gnu")

    binary.write_text("#!/bin/sh\necho 'ptrace: Operation not permitted' >&2\nexit 1\n")
    with pytest.raises(debian.NotToBeHad, match="not permitted"):
        counts.strace(tmp_path)
