"""Data directories of real members, read from their files, hold what these members answer."""

from __future__ import annotations

import http.client
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from etcdv2 import ApiError, Client, KeyNotFound, OutcomeUnknown
from etcdv2.testing import Cluster, Server
from etcdv2.transfer import DamagedFile, DataDirectory, NoDataDirectory, TransferError, V2Store, compare_members
from etcdv2.transfer._protobuf import Fields
from etcdv2.transfer._text import as_etcd_shows
from tests.tools.waiting import PATIENT, until
from tests.transfer.members import v3

NO_SNAPSHOT, SNAPSHOTS = 100_000, 10


def start(binary: Path, snapshot_count: int) -> Server:
    return Server(binary, args=["--snapshot-count", str(snapshot_count)])


def raw(server: Server, method: str, path: str, **fields: object) -> None:
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    line.request(method, "/v2/keys" + path, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})
    assert line.getresponse().status < 300
    line.close()


def fill(server: Server) -> None:
    """A bit of everything, so that each rule of the replay has a part in the indexes."""
    with Client(server.url, timeout=PATIENT) as client:
        keys = client.keys
        keys.set("/app/a", "1")
        keys.set("/app/a", "2")
        keys.set("/app/b", "é", ttl=10_000)
        keys.set("/app/_hid/x", "secret")
        keys.set("/_root", "hidden")
        raw(server, "PUT", "/bin", value=b"\xff\xfe\x00abc")
        raw(server, "PUT", "/k%FF", value="odd key")
        for number in range(5):
            keys.create_in_order("/queue", str(number))
        keys.set("/gone", "x")
        keys.delete("/gone")
        keys.make_dir("/dir", ttl=5_000)
        keys.set("/short", "x", ttl=1)
        keys.set("/app/a", "3", prev_value="2")
        with pytest.raises(KeyNotFound):
            keys.set("/nowhere", "x", prev_exist=True)
        keys.refresh("/app/b", ttl=20_000)
        keys.get("/app", quorum=True)
        until(lambda: not keys.exists("/short"))


def shown(store: V2Store) -> dict[str, tuple[bool, str | None, int, int, bool]]:
    """As HTTP shows the tree, without hidden nodes."""
    nodes = list(store.walk("/1", hidden=False))[1:]
    return {
        as_etcd_shows(node.path.removeprefix("/1")): (
            node.dir,
            None if node.value is None else as_etcd_shows(node.value),
            node.created_index,
            node.modified_index,
            node.expires_at is not None,
        )
        for node in nodes
    }


def answered(server: Server) -> tuple[dict[str, tuple[bool, str | None, int, int, bool]], int]:
    with Client(server.url, timeout=PATIENT) as client:
        response = client.keys.get("/", recursive=True, quorum=True)
    nodes = list(response.walk())[1:]
    found = {
        node.key: (node.dir, node.value, node.created_index, node.modified_index, node.expiration is not None)
        for node in nodes
    }
    return found, response.index


@pytest.mark.parametrize("snapshot_count", [NO_SNAPSHOT, SNAPSHOTS])
def test_the_files_of_a_member_hold_what_it_answers(etcd_binary: Path, snapshot_count: int) -> None:
    with start(etcd_binary, snapshot_count) as server:
        fill(server)
        expected, index = answered(server)
        server.stop()
        state = DataDirectory(server.data_dir, all_entries=True).read()

    assert (state.snapshot is None) == (snapshot_count == NO_SNAPSHOT)
    assert shown(state.store) == expected
    assert state.store.index == index
    assert state.damage is None
    assert state.store.get("/1/_root").value == "hidden"
    assert state.store.get("/1/app/_hid/x").value == "secret"
    if snapshot_count == NO_SNAPSHOT:
        assert state.store.get("/1/bin").value == "\udcff\udcfe\x00abc"
        assert state.store.get("/1/k\udcff").value == "odd key"
        assert state.requests["POST"].count == 5
        assert state.requests["QGET"].count >= 2


@pytest.mark.load
def test_a_running_member_can_be_read_beside_it(etcd_binary: Path) -> None:
    with start(etcd_binary, SNAPSHOTS) as server:
        fill(server)
        with Client(server.url, timeout=PATIENT) as client:
            indexes: list[int] = []
            for number in range(200):
                client.keys.set("/app/n", str(number))
                if number % 10 == 0:
                    state = DataDirectory(server.data_dir, all_entries=True).read()
                    indexes.append(state.store.index)
                    assert state.store.get("/1/app/a").value == "3"
    assert indexes == sorted(indexes)
    assert indexes[-1] > indexes[0]


def change_members(client: Client) -> None:
    """One comes, moves and goes. Busy members may answer 500: it is asked for again where it was not done."""
    members, first, then = client.members, "http://127.0.0.1:1", "http://127.0.0.1:2"

    def until_done(change: Callable[[], object], *urls: str) -> None:
        def done() -> bool:
            return {url for member in members.list() for url in member.peer_urls} & {first, then} == {*urls}

        def tried() -> bool:
            with suppress(OutcomeUnknown, ApiError):
                change()
            return done()

        until(lambda: done() or tried())

    until_done(lambda: members.add(first), first)
    member = next(member for member in members.list() if first in member.peer_urls)
    until_done(lambda: members.update(member.id, then), then)
    until_done(lambda: members.remove(member.id))


def test_members_of_one_cluster_are_read_and_compared(etcd_binary: Path, tmp_path: Path) -> None:
    """Changes of members take their indexes; a member that ended earlier is behind, and not different."""
    with Cluster(3, etcd_binary, args=["--strict-reconfig-check=false"]) as cluster:
        early = cluster.followers()[0]
        with Client(cluster.endpoints, timeout=PATIENT) as client:
            client.keys.set("/a", "1")
            change_members(client)
            client.keys.set("/b", "2", ttl=10_000)
            early.stop()
            for number in range(30):
                client.keys.set("/c", str(number))
            index = client.keys.get("/", quorum=True).index
        for server in cluster.members:
            server.stop()
        directories = [DataDirectory(server.data_dir, all_entries=True) for server in cluster.members]
        found = compare_members(directories)

        # The newest has all of it.
        assert found.state.store.index == index
        assert found.newest.path != early.data_dir
        states = [found.state, *(other.state for other in found.others)]
        assert len({state.cluster_id for state in states}) == 1
        assert len({state.member_id for state in states}) == 3

        # One is behind; none is different.
        behind = {other.directory.path: other.behind for other in found.others}
        assert behind[early.data_dir] > 25
        assert [str(one) for other in found.others for one in other.differences] == []
        assert found.equal
        assert "the same at entry" in str(found)

        # One that is not what it was.
        folder = tmp_path / "data"
        shutil.copytree(early.data_dir, folder, ignore=shutil.ignore_patterns("db"))
        log = log_of(folder)
        log.write_bytes(log.read_bytes().replace(b"/1/b", b"/1/d"))
        other = compare_members([found.newest, DataDirectory(folder, all_entries=True, check_crc=False)])
        assert [str(one) for one in other.others[0].differences] == ["- /b", "+ /d"]
        assert not other.equal
        assert "differs at entry" in str(other)
        with pytest.raises(TransferError, match="are of one member"):
            compare_members([directories[0], directories[0]])
    with pytest.raises(ValueError, match="no data directory"):
        compare_members([])


def test_an_earlier_moment_is_read_where_the_files_reach_back(etcd_binary: Path) -> None:
    with start(etcd_binary, SNAPSHOTS) as server:
        with Client(server.url, timeout=PATIENT) as client:
            for number in range(25):
                client.keys.set("/n", str(number))
        server.stop()
        directory = DataDirectory(server.data_dir, all_entries=True)
        now = directory.read()
        before = directory.read(until=now.raft_index - 20)
        assert now.snapshot_index > before.raft_index == now.raft_index - 20
        assert before.store.index == now.store.index - 20
        assert before.store.get("/1/n").value == str(int(now.store.get("/1/n").value or "") - 20)


@pytest.fixture(scope="module")
def small(etcd_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a small data directory, its log without the space that etcd reserves, and old."""
    folder = tmp_path_factory.mktemp("small") / "data"
    with start(etcd_binary, NO_SNAPSHOT) as server:
        with Client(server.url, timeout=PATIENT) as client:
            client.keys.set("/a", "1")
            client.keys.set("/b/c", "2", ttl=10_000)
            client.keys.delete("/a")
        server.stop()
        (log,) = (server.data_dir / "member" / "wal").glob("*.wal")
        target = folder / "member" / "wal" / log.name
        target.parent.mkdir(parents=True)
        target.write_bytes(log.read_bytes().rstrip(b"\0") + bytes(64))
    os.utime(target, (1, 1))
    return folder


def log_of(folder: Path) -> Path:
    (log,) = (folder / "member" / "wal").glob("*.wal")
    return log


@pytest.mark.load
@pytest.mark.thorough(versions=True)
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_is_never_a_wrong_answer(small: Path, tmp_path: Path, flip: int) -> None:
    """Each byte in turn: an error of our own, or the state of the whole log or of a beginning that it names."""
    folder = tmp_path / "data"
    shutil.copytree(small, folder)
    log = log_of(folder)
    whole = log.read_bytes()
    right = DataDirectory(folder, all_entries=True).read()
    wanted = list(right.store.walk())

    silent: list[int] = []
    for at in range(len(whole)):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        os.utime(log, (1, 1))
        try:
            state = DataDirectory(folder, all_entries=True).read()
        except DamagedFile:
            continue
        same = list(state.store.walk()) == wanted and state.store.index == right.store.index
        if not same and not state.notes:
            silent.append(at)
    assert silent == []


def test_a_log_cut_anywhere_is_an_error_or_a_beginning(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(small, folder)
    log = log_of(folder)
    whole = log.read_bytes()
    right = DataDirectory(folder, all_entries=True).read()
    for size in range(len(whole) - 64):
        log.write_bytes(whole[:size])
        os.utime(log, (1, 1))
        try:
            state = DataDirectory(folder, all_entries=True).read()
        except DamagedFile:
            continue
        assert state.last_index <= right.last_index
        assert state.store.index <= right.store.index


def test_what_came_before_the_damage_can_be_kept(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(small, folder)
    log = log_of(folder)
    whole = log.read_bytes()
    place = whole.index(b"DELETE")
    log.write_bytes(whole[:place] + b"X" + whole[place + 1 :])
    with pytest.raises(DamagedFile, match="checksum is wrong") as caught:
        DataDirectory(folder).read()
    assert caught.value.path == log

    state = DataDirectory(folder, keep_damaged=True, all_entries=True).read()
    assert state.damage is not None
    assert state.store.get("/1/a").value == "1"
    assert state.store.get("/1/b/c").value == "2"


def test_a_folder_without_a_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoDataDirectory, match="no write-ahead log"):
        DataDirectory(tmp_path).store()


def split(log: Path) -> tuple[Path, Path]:
    """Two files of the one, as etcd begins a new one at 64 MiB: with the checksum of all before."""
    whole = log.read_bytes()
    place = whole.index(b"DELETE")
    at, crc, index = 0, 0, 0
    while True:
        length = int.from_bytes(whole[at : at + 8], "little")
        size = (length & (1 << 56) - 1) + (length >> 56 & 7 if length >> 63 else 0)
        if at + 8 + size > place:
            break
        record = Fields(whole[at + 8 : at + 8 + size][: length & (1 << 56) - 1])
        crc = record.number(2)
        if record.number(1) == 2:
            index = Fields(record.raw(3)).number(3)
        at += 8 + size
    number, varint = crc, b""
    while number > 0x7F:
        varint += bytes([number & 0x7F | 0x80])
        number >>= 7
    record_of_crc = b"\x08\x04\x10" + varint + bytes([number])
    padding = -len(record_of_crc) % 8
    frame = len(record_of_crc) | ((0x80 | padding) << 56 if padding else 0)
    first, second = log, log.with_name(f"{1:016x}-{index + 1:016x}.wal")
    second.write_bytes(frame.to_bytes(8, "little") + record_of_crc + bytes(padding) + whole[at:])
    first.write_bytes(whole[:at])
    return first, second


def test_a_log_of_several_files_is_read_as_one(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(small, folder)
    right = list(DataDirectory(folder).store().walk())
    first, second = split(log_of(folder))
    assert list(DataDirectory(folder).store().walk()) == right

    # What the last file may be, no other may: cut off. Nor may one be missing.
    whole = first.read_bytes()
    first.write_bytes(whole[:-3])
    with pytest.raises(DamagedFile, match="cut off"):
        DataDirectory(folder).store()
    first.write_bytes(whole)
    first.unlink()
    with pytest.raises(DamagedFile, match="begins behind entry"):
        DataDirectory(folder).store()
    assert second.exists()


def test_a_log_may_be_elsewhere(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small / "member" / "wal", tmp_path / "logs")
    (tmp_path / "data" / "member").mkdir(parents=True)
    elsewhere = DataDirectory(tmp_path / "data", wal_dir=tmp_path / "logs").store()
    assert list(elsewhere.walk()) == list(DataDirectory(small / "member").store().walk())


@pytest.mark.load
def test_a_damaged_snapshot_is_passed_over_where_the_log_has_all_of_it(etcd_binary: Path, tmp_path: Path) -> None:
    """One server, its newest snapshot with each of some bytes flipped: the same store, or an error."""
    with start(etcd_binary, SNAPSHOTS) as server:
        fill(server)
        server.stop()
        right = DataDirectory(server.data_dir).read()
        assert right.snapshot is not None
        folder = tmp_path / "data"
        shutil.copytree(server.data_dir, folder, ignore=shutil.ignore_patterns("db"))
    newest = folder / "member" / "snap" / right.snapshot.name
    whole = newest.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        newest.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        state = DataDirectory(folder).read()
        assert any(str(newest) in note for note in state.notes)
        assert state.store.index == right.store.index
        # The log may have bytes that the snapshot has lost (spec/protocol.md section 19.2).
        shown_now = [as_etcd_shows(node.path) for node in state.store.walk("/1")]
        assert sorted(shown_now) == sorted(node.path for node in right.store.walk("/1"))


@pytest.mark.load
def test_a_log_that_has_grown_over_several_files_is_read(etcd_binary: Path) -> None:
    """etcd begins the next file at 64 MiB. Much is of v3: large values of v2 stay in snapshots for 1,000 events."""
    with Server(etcd_binary, fsync=False, args=["--snapshot-count=20"]) as server:
        with Client(server.url, timeout=PATIENT) as client:
            client.keys.set("/n", "first")
            for number in range(48):
                v3(server, "put", key=b"big", value=bytes([number]) * 1_400_000)
                client.keys.set("/n", str(number))
            index = client.keys.get("/", quorum=True).index
        server.stop()
        assert len(list((server.data_dir / "member" / "wal").glob("*.wal"))) > 1

        # From the newest snapshot; and all of it, over both files, as where no snapshot can be read.
        directory = DataDirectory(server.data_dir, all_entries=True)
        state = directory.read()
        assert state.snapshot is not None
        for path in (server.data_dir / "member" / "snap").glob("*.snap"):
            path.unlink()
        whole = directory.read()
        assert whole.snapshot is None
        for one in (state, whole):
            assert (one.store.index, one.store.get("/1/n").value) == (index, "47")
        assert list(state.store.walk()) == list(whole.store.walk())
