# Derived from tests/_async/test_keys.py by scripts/unasync.py: change that file, make generate.
"""The keys API against real servers."""

from __future__ import annotations

import pytest

from etcdv2 import Client, KeyNotFound


def test_what_is_set_is_read_back(client: Client) -> None:
    written = client.keys.set("/a", "1")
    read = client.keys.get("/a")
    assert (read.value, read.node.modified_index) == ("1", written.index)


def test_missing_key_raises_key_not_found_or_gives_the_default(client: Client) -> None:
    with pytest.raises(KeyNotFound) as caught:
        client.keys.get("/none")
    assert (caught.value.code, caught.value.status, caught.value.cause) == (100, 404, "/none")
    assert client.keys.get("/none", default=None) is None
