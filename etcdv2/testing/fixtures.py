"""Fixtures for pytest, by `pytest_plugins = ["etcdv2.testing.fixtures"]` in a conftest.py.

etcd: a `Server`, etcd_cluster: a `Cluster` of three, etcd_tls: a `Server` with https, etcd_auth: one
with authentication; etcd_client, etcd_keys: a client of `etcd`, and its keys. The processes live as
long as the session (one set per binary); each test gets them running, resumed, without users of its
own, with an empty store. The index goes on from test to test, and hidden keys directly below the
root (`/_name`) stay. Tests that want other members or flags make a `Server`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2 import Client, KeysAPI
from etcdv2.testing import Certificates, Cluster, Server, make_certificates

AUTH = ("root", "secret")
"""User and password of `etcd_auth`."""


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


@pytest.fixture
def etcd_client(etcd: Server) -> Iterator[Client]:
    """A client of `etcd`, closed after the test."""
    with Client(etcd.url) as client:
        yield client


@pytest.fixture
def etcd_keys(etcd_client: Client) -> KeysAPI:
    """The keys of `etcd_client`: an empty store."""
    return etcd_client.keys


@pytest.fixture(scope="session")
def etcd_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """PEM files of a private authority, of `etcd_tls` and of a client. Needs the package trustme."""
    return make_certificates(tmp_path_factory.mktemp("etcd-certificates"))


@pytest.fixture(scope="session")
def etcd_session_tls(etcd_binary: Path | None, etcd_certificates: Certificates) -> Iterator[Server]:
    """The process behind `etcd_tls`, with no promise about what is in it."""
    with Server(etcd_binary, tls=etcd_certificates.server(), fsync=False) as server:
        yield server


@pytest.fixture
def etcd_tls(etcd_session_tls: Server) -> Server:
    """A running etcd that speaks https, with an empty store.

    Its authority is `etcd_certificates.ca_file`.
    """
    etcd_session_tls.clean()
    return etcd_session_tls


@pytest.fixture(scope="session")
def etcd_session_auth(etcd_binary: Path | None) -> Iterator[Server]:
    """The process behind `etcd_auth`, with no promise about what is in it."""
    with Server(etcd_binary, auth=AUTH, fsync=False) as server:
        yield server


@pytest.fixture
def etcd_auth(etcd_session_auth: Server) -> Server:
    """A running etcd with authentication on and an empty store.

    Its only user is root with the password "secret" (its `auth`); the role `guest` may still do all
    with keys.
    """
    etcd_session_auth.clean()
    return etcd_session_auth
