"""Real etcd processes for tests: one server or a cluster, on free local ports, cleaned up always.

Stands beside the client and shares nothing with it; needs the standard library and an etcd binary
only.

    with Server() as server:
        client = etcdv2.Client(server.url)

`check_answer`, and the httpx transports `CheckingTransport` and `AsyncCheckingTransport`, hold the
answers of any server or proxy against the description of the v2 API. They need the extra `testing`.
"""

from typing import TYPE_CHECKING

from etcdv2.testing._answers import check_answer
from etcdv2.testing._binary import ServerNotFound, find_binary, server_version
from etcdv2.testing._cluster import Cluster
from etcdv2.testing._not_as_described import NotAsDescribed
from etcdv2.testing._process import PortTaken, StartFailed
from etcdv2.testing._server import Server
from etcdv2.testing._tls import TLS, Certificates, make_certificates

if TYPE_CHECKING:
    from etcdv2.testing._checking import AsyncCheckingTransport, CheckingTransport

__all__ = [
    "TLS",
    "AsyncCheckingTransport",
    "Certificates",
    "CheckingTransport",
    "Cluster",
    "NotAsDescribed",
    "PortTaken",
    "Server",
    "ServerNotFound",
    "StartFailed",
    "check_answer",
    "find_binary",
    "make_certificates",
    "server_version",
]


def __getattr__(name: str) -> object:
    """The transports are imported when they are used: httpx takes longer than all the rest."""
    if name not in ("AsyncCheckingTransport", "CheckingTransport"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from etcdv2.testing import _checking

    found: object = getattr(_checking, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
