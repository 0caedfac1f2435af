# Derived from tests/facade/_async/conftest.py by scripts/unasync.py: change that file, make generate.
"""Clients for the tests of the facade, over the transport under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etcdv2 import Client
from etcdv2.testing import Server

Connect = Callable[..., Client]


@pytest.fixture
def connect(transport: str) -> Iterator[Connect]:
    """Makes clients that are closed after the test: `connect(endpoints, **settings)`."""
    clients: list[Client] = []

    def make(endpoints: Any, **settings: Any) -> Client:
        if transport == "httpx":
            settings.setdefault("transport", "httpx")
        client = Client(endpoints, **settings)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Connect, etcd: Server) -> Client:
    """A client of the clean `etcd`."""
    return connect(etcd.url)
