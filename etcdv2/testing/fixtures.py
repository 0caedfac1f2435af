"""Fixtures for pytest, by `pytest_plugins = ["etcdv2.testing.fixtures"]` in a conftest.py.

etcd: a `Server`, etcd_cluster: a `Cluster` of three. The processes live as long as the session (one
set per binary); each test gets them running, resumed, without users, with an empty store. The index
goes on from test to test, and hidden keys directly below the root (`/_name`) stay. Tests that want
other members, flags or TLS make a `Server`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2.testing._cluster import Cluster
from etcdv2.testing._server import Server


@pytest.fixture(scope="session")
def etcd_binary() -> Path | None:
    """The binary behind the other fixtures; None is the one that `find_binary` finds.

    Override it to choose, or to run the tests with several: `@pytest.fixture(scope="session",
    params=[...])`, returning `request.param`.
    """
    return None


@pytest.fixture(scope="session")
def etcd_session_server(etcd_binary: Path | None) -> Iterator[Server]:
    """The process behind `etcd`, with no promise about what is in it."""
    with Server(etcd_binary, fsync=False) as server:
        yield server


@pytest.fixture(scope="session")
def etcd_session_cluster(etcd_binary: Path | None) -> Iterator[Cluster]:
    """The processes behind `etcd_cluster`, in no promised state. Elections are quicker than usual."""
    with Cluster(3, etcd_binary, fsync=False, heartbeat_interval=50, election_timeout=500) as cluster:
        yield cluster


@pytest.fixture
def etcd(etcd_session_server: Server) -> Server:
    """A running etcd with an empty store; the process is shared by the tests of the session."""
    etcd_session_server.clean()
    return etcd_session_server


@pytest.fixture
def etcd_cluster(etcd_session_cluster: Cluster) -> Cluster:
    """Three running members with a leader and an empty store; shared by the session's tests."""
    etcd_session_cluster.clean()
    return etcd_session_cluster
