# Derived from tests/recipes/_async/conftest.py by scripts/unasync.py: change that file, make generate.
"""Clients of a clean server, for the tests of the recipes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etcdv2 import Client
from etcdv2.recipes._sync import keeping
from etcdv2.testing import Server
from tests.tools.waiting import SOON


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a session deletes at its end is deleted, however slow the machine is."""
    monkeypatch.setattr(keeping, "CLOSE_SECONDS", SOON)


@pytest.fixture
def client(etcd: Server) -> Iterator[Client]:
    with Client(etcd.url) as client:
        yield client


@pytest.fixture
def other(etcd: Server) -> Iterator[Client]:
    """Somebody else's client."""
    with Client(etcd.url) as client:
        yield client
