"""Clients of a clean server, for the tests of the recipes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from etcdv2 import AsyncClient
from etcdv2.recipes._async import keeping
from etcdv2.testing import Server
from tests.tools.waiting import SOON


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a session deletes at its end is deleted, however slow the machine is."""
    monkeypatch.setattr(keeping, "CLOSE_SECONDS", SOON)


@pytest.fixture
async def client(etcd: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(etcd.url) as client:
        yield client


@pytest.fixture
async def other(etcd: Server) -> AsyncIterator[AsyncClient]:
    """Somebody else's client."""
    async with AsyncClient(etcd.url) as client:
        yield client
