"""Real etcd processes for tests: one server or a cluster, on free local ports, cleaned up always.

Stands beside the client and shares nothing with it; needs the standard library and an etcd binary
only.

    with Server() as server:
        client = etcdv2.Client(server.url)
"""

from etcdv2.testing._binary import ServerNotFound, find_binary, server_version
from etcdv2.testing._cluster import Cluster
from etcdv2.testing._process import PortTaken, StartFailed
from etcdv2.testing._server import Server
from etcdv2.testing._tls import TLS, Certificates, make_certificates

__all__ = [
    "TLS",
    "Certificates",
    "Cluster",
    "PortTaken",
    "Server",
    "ServerNotFound",
    "StartFailed",
    "find_binary",
    "make_certificates",
    "server_version",
]
