"""What etcd 3.6 and 3.7 really do with what v2 has left in a data directory, and that `check_directory` foresees it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etcdv2 import Client
from etcdv2.testing import Server, StartFailed
from etcdv2.testing._http import ask
from tests.tools.newer import last_3_5, newer
from tests.tools.waiting import PATIENT, until
from tests.transfer.members import all_of_v3, check, restart, set_up, v3

pytestmark = [pytest.mark.load, pytest.mark.newer]

STARTS = "starts"
WAL = "detected disallowed v2 WAL for stage --v2-deprecation=write-only"
CONTENT = "detected disallowed custom content in v2store for stage --v2-deprecation=write-only"
NO_V2 = "unmarshal should never fail"
ONCE = ["--snapshot-count=1"]


@pytest.fixture
def server() -> Iterator[Server]:
    """Of 3.5, with a key of v3."""
    with Server(last_3_5()) as server:
        v3(server, "put", key=b"k", value=b"v")
        yield server


@pytest.fixture
def outcome(server: Server, tmp_path: Path) -> Callable[[Path], str]:
    """How another etcd starts with a copy of the stopped server's data."""
    kept = tmp_path / "kept"

    def try_(binary: Path) -> str:
        before = server.binary
        shutil.copytree(server.data_dir, kept)
        begin = server.log_file.stat().st_size
        set_up(server, binary=binary)
        try:
            server.start()
            assert all_of_v3(server) == [(b"k", b"v")]
            return STARTS
        except StartFailed:
            said = server.log_file.read_bytes()[begin:].decode(errors="replace")
            return next((text for text in (WAL, CONTENT, NO_V2) if text in said), said)
        finally:
            server.stop()
            shutil.rmtree(server.data_dir)
            kept.rename(server.data_dir)
            set_up(server, binary=before)

    return try_


def judged(server: Server, outcome: Callable[[Path], str]) -> tuple[str, str]:
    """What 3.6 and 3.7 do; the check has to have foreseen it."""
    server.stop()
    found = check(server)
    with_3_6, with_3_7 = outcome(newer("3.6")), outcome(newer("3.7"))
    assert found.ready == (with_3_6 == STARTS), str(found)
    if found.ready:
        assert found.ready_for_3_7 == (with_3_7 == STARTS)
    return with_3_6, with_3_7


def make_snapshot(server: Server) -> None:
    """Start it without v2 until there is a snapshot behind which no member says who it is."""
    restart(server, ONCE)
    for _ in range(3):
        v3(server, "put", key=b"k", value=b"v")
    server.stop()
    assert check(server).own is None
    assert check(server).requests == {}


def test_a_member_that_never_had_v2_goes_to_3_6_and_to_3_7_after_a_snapshot(
    server: Server, outcome: Callable[[Path], str]
) -> None:
    """3.7 cannot read what members of 3.5 write of themselves."""
    make_snapshot(server)
    restart(server)  # says who it is
    assert judged(server, outcome) == (STARTS, NO_V2)
    make_snapshot(server)
    assert judged(server, outcome) == (STARTS, STARTS)


def test_v2_requests_behind_the_snapshot_are_what_3_6_panics_on(server: Server, outcome: Callable[[Path], str]) -> None:
    # 1. Health checks alone.
    assert set(check(server).requests) <= {"QGET"}
    assert judged(server, outcome) == (WAL, NO_V2)

    # 2. Keys, and after their deletion.
    restart(server, v2=True)
    with Client(server.url, timeout=PATIENT) as client:
        client.keys.set("/app/a", "1")
        client.keys.set("/_hidden", "1")
        client.keys.delete("/app", recursive=True)
    assert judged(server, outcome) == (WAL, NO_V2)

    # 3. A snapshot, made without v2. What is hidden stays, and is not seen.
    make_snapshot(server)
    assert check(server).hidden == ("/_hidden",)
    assert judged(server, outcome) == (STARTS, STARTS)

    # 4. One health check with v2 on, one read with quorum, one expiry: each is enough.
    def expire() -> None:
        with Client(server.url, timeout=PATIENT) as client:
            client.keys.set("/short", "x", ttl=1)
            until(lambda: not client.keys.exists("/short"))

    def read() -> None:
        with Client(server.url, timeout=PATIENT) as client:
            client.keys.get("/", quorum=True)

    for dirty in (lambda: ask(server.door, "/health"), read, expire):
        restart(server, v2=True)
        dirty()
        server.stop()
        restart(server)
        assert judged(server, outcome) == (WAL, NO_V2)
        make_snapshot(server)
        assert check(server).ready


@pytest.mark.parametrize("left", ["a key", "an empty directory", "a user"])
def test_content_of_the_snapshot_is_what_3_6_refuses(server: Server, outcome: Callable[[Path], str], left: str) -> None:
    """3.7 does not look."""
    with Client(server.url, timeout=PATIENT) as client:
        if left == "a key":
            client.keys.set("/a", "1")
        elif left == "an empty directory":
            client.keys.make_dir("/d")
        else:
            client.auth.users.create("u1", "password")
    make_snapshot(server)
    assert judged(server, outcome) == (CONTENT, STARTS)


def test_what_auth_leaves_does_not_keep_a_late_3_6_from_starting(
    server: Server, outcome: Callable[[Path], str]
) -> None:
    with Client(server.url, timeout=PATIENT) as client:
        client.auth.users.create("u1", "password")
        client.auth.users.delete("u1")
    make_snapshot(server)
    assert (check(server).auth, check(server).auth_used) == (False, True)
    assert judged(server, outcome) == (STARTS, STARTS)


def test_from_3_6_to_3_7_one_goes_by_a_snapshot(server: Server, outcome: Callable[[Path], str]) -> None:
    """3.6 makes one each 10,000 entries; until then the log has what 3.5 wrote."""
    make_snapshot(server)
    restart(server)
    restart(server, binary=newer("3.6"))
    assert judged(server, outcome) == (STARTS, NO_V2)
    said = str(check(server))
    assert "etcd 3.7 would panic" in said
    assert said.endswith("ready")

    make_snapshot(server)
    assert str(check(server)) == "ready"
    assert judged(server, outcome) == (STARTS, STARTS)
