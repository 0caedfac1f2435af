"""Trees, the files they are kept in, and how they differ."""

from __future__ import annotations

import contextlib
import json
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdv2 import AsyncClient, Client, KeyNotFound, NotDir
from etcdv2.testing import Server
from etcdv2.transfer import (
    AuthEntry,
    DamagedFile,
    DataDirectory,
    DumpNode,
    TransferError,
    Tree,
    async_read_tree,
    compare,
    read_dump,
    read_tree,
    write_dump,
)
from etcdv2.transfer._tree import tree_from
from tests.tools.waiting import PATIENT
from tests.transfer.test_data_directory import NO_SNAPSHOT, fill, start

SECOND = 1_000_000_000
MADE = 1_764_158_400 * SECOND + 5

texts = st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)
keys = st.lists(texts.filter(lambda text: text and "/" not in text), min_size=1, max_size=4).map(
    lambda names: "/" + "/".join(names)
)
indexes = st.integers(0, 2**64 - 1)
moments = st.none() | st.integers(0, 2**63 - 1)
nodes = st.builds(DumpNode, keys, st.none() | texts, indexes, indexes, moments, st.booleans())


def tree(*found: DumpNode, **about: object) -> Tree:
    return tree_from(found, **{"index": 7, "made": MADE, "source": {"kind": "http"}, **about})


@settings(deadline=None, max_examples=40)
@given(found=st.lists(nodes, max_size=8), suffix=st.sampled_from(["", ".gz", ".zst"]))
def test_a_dump_read_back_is_the_tree(
    tmp_path_factory: pytest.TempPathFactory, found: list[DumpNode], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("dump") / f"d.jsonl{suffix}"
    kept = tree(*found, hidden="all", auth=(AuthEntry("role", "r", {"permissions": {}}),), auth_enabled=True)
    write_dump(kept, path)
    assert read_dump(path) == kept
    assert list(read_dump(path)) == list(kept)


def test_lines_are_as_they_are_described(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    write_dump(
        tree(
            DumpNode("/app", None, 4, 4),
            DumpNode("/app/b", "é", 5, 21, MADE + 187 * SECOND - 1),
            DumpNode("/bin", "\udcff\udcfe\x00abc", 11, 11),
            DumpNode("/w", "\ufffd", 12, 12, None, True),
        ),
        path,
    )
    header, *lines, end = [json.loads(line) for line in path.read_text().splitlines()]
    assert header == {
        "format": "etcdv2-dump",
        "version": 1,
        "made": "2025-11-26T12:00:00.000000005Z",
        "source": {"kind": "http"},
        "root": "/",
        "index": 7,
        "hidden": "none",
        "nodes": 4,
    }
    assert lines == [
        {"key": "/app", "dir": True, "createdIndex": 4, "modifiedIndex": 4},
        {
            "key": "/app/b",
            "value": "é",
            "createdIndex": 5,
            "modifiedIndex": 21,
            "ttl": 187,
            "expiration": "2025-11-26T12:03:07.000000004Z",
        },
        {"key": "/bin", "value_b64": "//4AYWJj", "createdIndex": 11, "modifiedIndex": 11},
        {"key": "/w", "value": "\ufffd", "createdIndex": 12, "modifiedIndex": 12, "damaged": "maybe"},
    ]
    assert (end["end"], end["nodes"], len(end["sha256"])) == (True, 4, 64)


@pytest.mark.parametrize("suffix", [".jsonl", ".gz", ".zst"])
def test_a_dump_that_was_cut_off_or_changed_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"d{suffix}"
    kept = tree(DumpNode("/a", "1", 4, 4), DumpNode("/b", None, 5, 5))
    write_dump(kept, path)
    whole = path.read_bytes()
    unchecked = 4 if suffix == ".zst" else 1  # a checksum behind the last line, which has one itself
    for size in range(len(whole) - unchecked):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedFile):
            read_dump(path)

    # Of headers of compressed files some bits say nothing.
    for at in range(len(whole) - unchecked):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedFile) if suffix == ".jsonl" else contextlib.suppress(DamagedFile):
            assert read_dump(path) == kept


def test_without_a_library_for_zst_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left behind."""
    for name in ("compression.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TransferError, match=r"pip install 'etcdv2\[zstd\]'"):
        write_dump(tree(), tmp_path / "d.zst")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "d.zst").write_bytes(b"x")
    with pytest.raises(TransferError, match="zstandard"):
        read_dump(tmp_path / "d.zst")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cut off"),
        ('{"format":"other"}\n', "does not begin"),
        ('{"format":"etcdv2-dump","version":2}\n', "of the version 2"),
        ("[1]\n", "no JSON object"),
        ("{\n", "not as it should be"),
    ],
)
def test_what_is_no_dump_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(text)
    with pytest.raises(DamagedFile, match=reason):
        read_dump(path)


def test_hashes_of_passwords_are_for_the_owner_alone(tmp_path: Path) -> None:
    plain, secret = tmp_path / "plain", tmp_path / "secret"
    secret.write_text("old, and open to all")
    secret.chmod(0o644)
    write_dump(tree(auth=(AuthEntry("user", "u", {"roles": []}),), auth_enabled=True), plain)
    write_dump(tree(auth=(AuthEntry("user", "u", {"roles": [], "hash": "$2a$"}),), auth_enabled=True), secret)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(plain.stat().st_mode) & 0o400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "secret"]


def test_a_dump_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "d"
    write_dump(tree(DumpNode("/a", "1")), path)
    with pytest.raises(TypeError):
        write_dump(tree(auth=(AuthEntry("role", "r", {"permissions": object()}),)), path)
    assert len(read_dump(path)) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["d"]


def test_differences_are_named_by_kind() -> None:
    before = tree(
        DumpNode("/same", "x", 1, 1),
        DumpNode("/gone", "x"),
        DumpNode("/value", "1"),
        DumpNode("/kind", "1"),
        DumpNode("/ttl", "x", expires_at=MADE),
        DumpNode("/near", "x", expires_at=MADE),
        DumpNode("/lost", "\ufffd", damaged=True),
        DumpNode("/lost2", "\ufffdz", damaged=True),
    )
    after = tree(
        DumpNode("/same", "x", 1, 2),
        DumpNode("/new", None),
        DumpNode("/value", "2"),
        DumpNode("/kind", None),
        DumpNode("/ttl", "x"),
        DumpNode("/near", "x", expires_at=MADE + SECOND),
        DumpNode("/lost", "\udcff"),
        DumpNode("/lost2", "\udcffy"),
    )
    assert [str(one).split(" expires")[0] for one in compare(before, after)] == [
        "- /gone",
        '~ /kind "1" -> a directory',
        '~ /lost2 "\ufffdz" -> "\udcffy"',
        "+ /new",
        "t /ttl",
        '~ /value "1" -> "2"',
    ]
    assert [one.key for one in compare(before, after, indexes=True) if one.kind == "i"] == ["/same"]
    assert list(compare(before, before, indexes=True)) == []


def test_trees_below_different_roots_are_compared_below_these() -> None:
    one = tree(DumpNode("/x/a", "1"), root="/x")
    other = tree(DumpNode("/y/z/a", "1"), DumpNode("/y/z/b", "1"), root="/y/z")
    assert [str(found) for found in compare(one, other)] == ["+ /b"]


async def test_http_and_the_files_show_the_same(etcd_binary: Path, tmp_path: Path) -> None:
    """Kept in files and compared: bytes that HTTP cannot show are no difference."""
    with start(etcd_binary, NO_SNAPSHOT) as server:
        fill(server)
        with Client(server.url, timeout=PATIENT) as client:
            client.auth.roles.create("r1", read=["/app/*"])
            client.auth.users.create("u1", "password", ["r1"])
            online = read_tree(client, hidden=["/_root", "/app/_hid", "/_nothing"], auth=True)
            assert online == read_tree_again(server, online)
            async with AsyncClient(server.url, timeout=PATIENT) as other:
                again = await async_read_tree(other, hidden=["/_root", "/app/_hid"], auth=True)
                assert (list(again), again.auth) == (list(online), online.auth)
            with pytest.raises(NotDir):
                read_tree(client, "/app/a")
            with pytest.raises(KeyNotFound):
                read_tree(client, "/nothing")
        server.stop()
        files = DataDirectory(server.data_dir, all_entries=True)
        offline = files.tree(auth=True)
        write_dump(files.tree(auth=True, secrets=True), tmp_path / "files")
        assert files.tree("/app").root == "/app"

    # The odd key is another one in the answers, and is compared with what they show of it.
    assert ("/k\ufffd" in online.nodes, "/k\udcff" in offline.nodes) == (True, True)
    assert list(compare(online, offline, indexes=True)) == []
    assert online.nodes["/bin"].damaged
    assert online.nodes["/app/_hid/x"].value == "secret"
    assert (online.hidden, offline.hidden, online.index) == ("named", "all", offline.index)
    assert (online.auth_enabled, offline.auth_enabled) == (False, False)
    assert [(one.kind, one.name) for one in offline.auth] == [("role", "r1"), ("user", "u1")]
    assert [one for one in online.auth if one.name != "guest"] == [one for one in offline.auth if one.name != "guest"]

    secret = read_dump(tmp_path / "files")
    assert secret.auth[-1].data["hash"].startswith("$2a$")
    assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o600
    assert not offline.has_secrets


def read_tree_again(server: Server, first: Tree) -> Tree:
    """The same but for the moment."""
    with Client(server.url, timeout=PATIENT) as client:
        again = read_tree(client, hidden=["/_root", "/app/_hid"], auth=True)
    return Tree(
        again.nodes, again.root, again.index, first.made, again.hidden, again.source, again.auth, again.auth_enabled
    )
