"""Programs that were written for python-etcd, as they were published, on real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from etcdv2.testing import Cluster, Server
from tests.tools import programs
from tests.tools.waiting import SOON

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent / "programs"

pytestmark = pytest.mark.load


def command(program: str, *arguments: object) -> list[str]:
    return [
        *(sys.executable, "-W", "ignore", str(HERE / f"with_{program}.py")),
        *(str(programs.place(program)), *map(str, arguments)),
    ]


def run(program: str, *arguments: object) -> str:
    done = subprocess.run(
        command(program, *arguments), capture_output=True, text=True, check=False, timeout=4 * SOON, cwd=HERE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.programs("salt")
def test_salt(etcd: Server) -> None:
    assert run("salt", etcd.port) == "done"


@pytest.mark.programs("conftool")
def test_conftool_passes_its_own_tests(etcd: Server) -> None:
    count, failed = json.loads(run("conftool", etcd.port))
    assert failed == []
    assert count >= 30


@pytest.mark.programs("patroni")
def test_patroni_on_three_members(etcd_cluster: Cluster) -> None:
    assert run("patroni", *(member.port for member in etcd_cluster.members)) == "done"


@pytest.mark.programs("gevent")
def test_program_that_gevent_has_patched(etcd: Server) -> None:
    assert run("gevent", etcd.port) == "done"


@pytest.mark.programs("torch")
@pytest.mark.parametrize("backend", ["etcd", "etcd-v2"])
def test_workers_of_pytorch_meet_before_and_after_the_death_of_the_leader(etcd_cluster: Cluster, backend: str) -> None:
    cluster = etcd_cluster
    with ExitStack() as stack:
        workers = [
            subprocess.Popen(
                command("torch", backend, cluster.members[number % 3].port, "job", 3),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=dict(os.environ),
            )
            for number in range(3)
        ]
        for worker in workers:
            stack.callback(worker.communicate)
            stack.callback(worker.kill)

        met(workers, [1, 2, 3])
        cluster.leader().kill()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        met(workers, [1, 2, 3] if backend == "etcd" else [4, 5, 6])
    cluster.heal()


def met(workers: Sequence[subprocess.Popen[str]], totals: list[int]) -> None:
    """All ranks are there once, all see the same size, and each has added to the total."""
    lines: list[list[str]] = []
    for worker in workers:
        assert worker.stdout is not None
        line = worker.stdout.readline().split()
        if not line:
            assert worker.stderr is not None
            raise AssertionError(worker.stderr.read())
        lines.append(line)
    assert sorted(int(line[1]) for line in lines) == [0, 1, 2]
    assert {line[2] for line in lines} == {"3"}
    assert sorted(int(line[3]) for line in lines) == totals
