# Derived from tests/facade/_async/test_missing_ok.py by scripts/unasync.py: change that file, make generate.
"""`missing_ok=True` of deletions: what is not there is no error, whatever else is."""

from __future__ import annotations

import pytest

from etcdv2 import Client, CompareFailed, KeyNotFound, NotDir, NotFile, OutcomeUnknown, Timeout
from etcdv2.testing import Server
from tests.chaos.links import Link
from tests.facade._sync.conftest import Connect


def test_nothing_there_is_none(client: Client) -> None:
    keys = client.keys
    assert keys.delete("/none", missing_ok=True) is None
    assert keys.delete("/none/below", missing_ok=True) is None
    assert keys.delete("/none", missing_ok=True, recursive=True) is None
    assert keys.delete("/none", missing_ok=True, dir=True) is None
    assert keys.delete("/none", missing_ok=True, prev_value="x") is None
    assert keys.delete("/none", missing_ok=True, prev_index=1) is None
    assert keys.remove_dir("/none", missing_ok=True) is None
    assert keys.remove_dir("/none", missing_ok=True, recursive=True) is None
    for work in (keys.delete, keys.remove_dir):
        with pytest.raises(KeyNotFound):
            work("/none")
        with pytest.raises(KeyNotFound):
            work("/none", missing_ok=False)


def test_what_is_there_is_deleted_and_returned(client: Client) -> None:
    keys = client.keys
    keys.set("/a", "1")
    keys.make_dir("/d")
    done = [keys.delete("/a", missing_ok=True), keys.remove_dir("/d", missing_ok=True)]
    assert [one and (one.action, one.node.key) for one in done] == [("delete", "/a"), ("delete", "/d")]


def test_other_refusals_stay_errors(client: Client) -> None:
    keys = client.keys
    keys.set("/d/a", "1")
    with pytest.raises(NotFile):
        keys.delete("/d", missing_ok=True)
    with pytest.raises(CompareFailed):
        keys.delete("/d/a", prev_value="2", missing_ok=True)
    with pytest.raises(NotDir):
        keys.remove_dir("/d/a", missing_ok=True)


@pytest.mark.parametrize("what", ["answers", "requests"])
def test_repeated_deletion_that_finds_nothing_is_none(
    connect: Connect, client: Client, etcd: Server, what: str
) -> None:
    with Link(etcd.port) as link:
        times = Timeout(connect=30, attempt=10, commit=2, total=120)
        lossy = connect(link.endpoint.url, timeout=times, after_attempt=lambda _: link.mend())
        client.keys.set("/a", "1")
        setattr(link, f"lose_{what}", True)
        done = lossy.keys.delete("/a", missing_ok=True, repeat_writes=True)
        assert (done is None) == (what == "answers")
        assert not client.keys.exists("/a")

        setattr(link, f"lose_{what}", True)
        with pytest.raises(OutcomeUnknown):
            lossy.keys.delete("/a", missing_ok=True, repeat_writes=False)
