"""Clients for the tests of the facade, over the transport under test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from etcdv2 import AsyncClient
from etcdv2.testing import Server

Connect = Callable[..., AsyncClient]


@pytest.fixture
async def connect(transport: str) -> AsyncIterator[Connect]:
    """Makes clients that are closed after the test: `connect(endpoints, **settings)`."""
    clients: list[AsyncClient] = []

    def make(endpoints: Any, **settings: Any) -> AsyncClient:
        if transport == "httpx":
            settings.setdefault("transport", "httpx")
        client = AsyncClient(endpoints, **settings)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(connect: Connect, etcd: Server) -> AsyncClient:
    """A client of the clean `etcd`."""
    return connect(etcd.url)
