"""Clients of python-etcd's names for these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etcdv2.compat import install, python_etcd, uninstall
from etcdv2.testing import Server

Connect = Callable[..., python_etcd.Client]


@pytest.fixture
def connect(etcd: Server) -> Connect:
    """Makes clients of the clean `etcd`: `connect(read_timeout=5)`."""

    def make(**settings: Any) -> python_etcd.Client:
        return python_etcd.Client(**{"host": "127.0.0.1", "port": etcd.port, **settings})

    return make


@pytest.fixture
def client(connect: Connect) -> python_etcd.Client:
    return connect()


@pytest.fixture
def installed() -> Iterator[None]:
    """`import etcd` gives ours."""
    install()
    yield
    uninstall()
