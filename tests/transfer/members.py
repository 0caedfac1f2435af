"""Members of a cluster with other flags or another etcd than before, and their keys of v3."""

from __future__ import annotations

import http.client
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from etcdv2.testing import Cluster, Server
from etcdv2.transfer import DataDirectory, DirectoryCheck, check_directory


def set_up(server: Server, args: Sequence[str] = (), *, v2: bool = False, binary: Path | None = None) -> None:
    """For the next start: the class has no way for that."""
    server._v2, server._args = v2, list(args)  # pyright: ignore[reportPrivateUsage]
    if binary is not None:
        server.binary = binary


def restart(server: Server, args: Sequence[str] = (), *, v2: bool = False, binary: Path | None = None) -> None:
    server.stop()
    set_up(server, args, v2=v2, binary=binary)
    server.start()


def check(server: Server) -> DirectoryCheck:
    return check_directory(DataDirectory(server.data_dir))


def v3(server: Server, call: str, **fields: bytes) -> list[tuple[bytes, bytes]]:
    """The keys and values that a call of v3 answers, by the gateway that speaks JSON."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    gateway = "/v3" if server.version_info >= (3, 4) else "/v3beta"
    line.request(
        "POST", f"{gateway}/kv/{call}", json.dumps({name: b64encode(raw).decode() for name, raw in fields.items()})
    )
    answer = json.loads(line.getresponse().read())
    line.close()
    assert "error" not in answer
    return [(b64decode(one["key"]), b64decode(one["value"])) for one in answer.get("kvs", ())]


def all_of_v3(server: Server) -> list[tuple[bytes, bytes]]:
    return v3(server, "range", key=b"\0", range_end=b"\0")


def carry_out_the_recipe(cluster: Cluster) -> None:
    """First all of them without v2, then a snapshot on each. Afterwards they are stopped."""
    for server in cluster.members:
        restart(server)
    for server in cluster.members:
        restart(server, ["--snapshot-count=1"])
    for server in cluster.members:
        server.stop()
