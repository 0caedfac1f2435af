"""The examples as a newcomer runs them: on an etcd of their own, on a cluster, and where things go wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import etcdv2
from etcdv2.testing import Certificates, Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BOTH = pytest.mark.parametrize("example", ["turing_awards.py", "turing_awards_async.py"])

TOUR = """\
All keys are kept below /turing_awards.

1. Set, get, delete, and get again
   set     /turing_awards/1966          Alan Perlis
   get     /turing_awards/1966          Alan Perlis
   delete  /turing_awards/1966
   get     /turing_awards/1966          Not found: the key is no longer there.

2. A directory of winners
   list    /turing_awards/winners       2 winners:
           /turing_awards/winners/1972  Edsger W. Dijkstra
           /turing_awards/winners/1974  Donald E. Knuth

3. Compare and swap: write only if nobody else did
   set     /turing_awards/2016          to be announced
   swap    /turing_awards/2016          Refused: the value is not 'still secret'.
   swap    /turing_awards/2016          Tim Berners-Lee, in place of 'to be announced'

4. A watcher in the background sees two awards as they are set
   set     /turing_awards/1983          Ken Thompson  modified index N
   set     /turing_awards/2003          Alan Kay      modified index N+1

5. A key that lives for one second
   set     /turing_awards/next          a rumour, TTL 1 second
   get     /turing_awards/next          Gone, two seconds later.

6. Clean-up
   delete  /turing_awards               and everything below it
"""

# The interrupt can come within Python's own socket constructor; the socket that is lost there was never bound to
# anything, let alone connected, and Python closes it at once and says so. Any other is a leak.
NEVER_CONNECTED = re.compile(
    r"Exception ignored in: (<socket\.socket fd=\d+, [^\n]*laddr=\('0\.0\.0\.0', 0\)>)\nResourceWarning: unclosed \1\n"
)


def start(example: str, *arguments: str, etcd: str | Path = "no-etcd-is-started-here") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-W", "error", str(EXAMPLES / example), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={**os.environ, "ETCD": str(etcd)},
    )


def outcome(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    with program:
        out, err = program.communicate(timeout=200)
    return program.returncode, out, err


def tour_without_indexes(out: str) -> str:
    """The output from the tour on, with the watcher's two indexes checked to follow one another."""
    first, second = (int(number) for number in re.findall(r"modified index (\d+)", out))
    assert second == first + 1
    out = out.replace(f"modified index {first}", "modified index N").replace(f"index {second}\n", "index N+1\n")
    return out[out.index("All keys") :]


def flags_for(server: Server, certificates: Certificates, password: str = "secret") -> list[str]:
    flags = [f"--endpoints={server.url}", "--username=root", f"--password={password}"]
    flags += [f"--ca-file={certificates.ca_file}", f"--cert-file={certificates.client_cert_file}"]
    return [*flags, f"--key-file={certificates.client_key_file}"]


def test_both_show_the_same_tour_on_an_etcd_of_their_own(etcd_binary: Path) -> None:
    programs = [start(path.name, etcd=etcd_binary) for path in sorted(EXAMPLES.glob("turing_awards*.py"))]
    assert len(programs) == 2
    for program in programs:
        code, out, err = outcome(program)
        assert (code, err) == (0, "")
        begin = re.match(r"Started etcd (\S+) at http://127\.0\.0\.1:(\d+), for this demo only\.\n", out)
        assert begin is not None
        assert tour_without_indexes(out) == TOUR
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(begin[2]))) != 0, "the embedded etcd is still there"


def test_a_cluster_of_ones_own_is_toured_and_left_as_it_was(
    etcd: Server, guarded: Server, certificates: Certificates
) -> None:
    programs = [
        start("turing_awards.py", f"--endpoints={etcd.url}"),
        start("turing_awards_async.py", *flags_for(guarded, certificates)),
    ]
    for program in programs:
        code, out, err = outcome(program)
        assert (code, err) == (0, "")
        assert out.startswith("All keys"), "no etcd is started where endpoints are given"
        assert tour_without_indexes(out) == TOUR
    tls = etcdv2.TLS(
        ca_file=certificates.ca_file, cert_file=certificates.client_cert_file, key_file=certificates.client_key_file
    )
    with etcdv2.Client(etcd.url) as client:
        assert client.keys.get("/").node.children == ()
    with etcdv2.Client(guarded.url, tls=tls, username="root", password="secret") as client:
        assert client.keys.get("/").node.children == ()


@pytest.mark.thorough
@BOTH
def test_a_directory_that_is_there_already_is_left_alone(example: str, etcd: Server) -> None:
    """Reported over the second of two endpoints: a cluster is given as a list with commas."""
    with etcdv2.Client(etcd.url) as client:
        client.keys.set("/turing_awards/mine", "precious")
        code, out, err = outcome(start(example, f"--endpoints=http://127.0.0.1:1,{etcd.url}"))
        assert (code, out) == (1, "")
        assert err.startswith("/turing_awards exists already")
        assert err.count("\n") == 1
        assert client.keys.get("/turing_awards/mine").value == "precious"


@pytest.mark.thorough
@BOTH
def test_an_interrupted_tour_cleans_up(example: str, etcd: Server) -> None:
    program = start(example, f"--endpoints={etcd.url}")
    assert program.stdout is not None
    for line in program.stdout:
        if line.startswith("5."):
            break
    program.send_signal(signal.SIGINT)
    code, out, err = outcome(program)
    assert (code, NEVER_CONNECTED.sub("", err)) == (1, "Interrupted.\n")
    assert out.endswith("and everything below it\n")
    with etcdv2.Client(etcd.url) as client:
        assert not client.keys.exists("/turing_awards")


@BOTH
def test_a_cluster_that_is_not_there_is_reported_in_one_sentence(example: str) -> None:
    code, out, err = outcome(start(example, "--endpoints=http://127.0.0.1:1"))
    assert (code, out) == (1, "")
    assert re.fullmatch(r"The cluster cannot be reached: .*127\.0\.0\.1:1: .+\n", err)


@BOTH
def test_a_missing_etcd_is_named(example: str, tmp_path: Path) -> None:
    code, out, err = outcome(start(example, etcd=tmp_path / "etcd"))
    assert (code, out) == (1, "")
    assert re.fullmatch(r"There is no etcd to start: ETCD names .*/etcd'.*--endpoints\.\n", err)


@pytest.mark.thorough
@BOTH
def test_a_wrong_password_is_reported_in_one_sentence(
    example: str, guarded: Server, certificates: Certificates
) -> None:
    code, out, err = outcome(start(example, *flags_for(guarded, certificates, password="wrong")))
    assert (code, out) == (1, "")
    assert err.startswith("That did not work: ")
    assert err.count("\n") == 1


@BOTH
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--endpoints=https://127.0.0.1:1", "--ca-file=/no/such/ca.pem"], "/no/such/ca.pem"),
        (["--endpoints=http://127.0.0.1:1", "--username=root"], "password"),
        (["--endpoints="], "endpoint"),
    ],
)
def test_unusable_options_are_reported_in_one_sentence(example: str, arguments: list[str], part: str) -> None:
    code, out, err = outcome(start(example, *arguments))
    assert (code, out) == (1, "")
    assert err.startswith("That did not work: ")
    assert part in err
    assert err.count("\n") == 1


@BOTH
def test_flags_for_a_cluster_need_endpoints(example: str) -> None:
    code, _, err = outcome(start(example, "--ca-file=ca.pem"))
    assert code == 2
    assert "--endpoints" in err


def test_a_fenced_lock_keeps_the_late_writer_out(etcd: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "fenced_lock.py"), etcd.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "first holds the lock and writes: True\n"
        "second holds it with a higher token: True\n"
        "second writes: True\n"
        "first goes on without looking: False\n"
        "first looks: its key is gone\n"
        "the table has: by second\n"
    )


@pytest.mark.load
def test_services_find_each_other(etcd: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "service_registry.py"), etcd.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "all three: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']\n"
        "b has left: ['10.0.0.1:80', '10.0.0.3:80']\n"
        "c was deleted, and is there again: ['10.0.0.1:80', '10.0.0.3:80']\n"
    )
