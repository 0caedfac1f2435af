"""A ZooKeeper from Debian's packages, unpacked into the cache, on the machine's Java: for `bench.coordination`.

Owns how it is started and ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from . import debian
from .debian import NotToBeHad

PACKAGES = (
    "libzookeeper-java",
    "libcommons-cli-java",
    "libcommons-io-java",
    "libdropwizard-metrics-java",
    "liblogback-java",
    "libnetty-java",
    "libslf4j-java",
    "libsnappy-java",
)
"""Of what Debian's zookeeper depends on: what a server needs. Java itself is not fetched."""
START_SECONDS = 60.0


@contextlib.contextmanager
def server(cache: Path) -> Generator[str]:
    """One server without fsync, as the etcd beside it: where it listens, as host:port. Raises NotToBeHad."""
    java = shutil.which("java")
    if java is None:
        raise NotToBeHad("java is not on the PATH")
    jars = debian.unpacked(PACKAGES, cache, "zookeeper") / "usr" / "share" / "java"
    classes = os.pathsep.join(str(jar) for jar in sorted(jars.glob("*.jar")) if "log4j-over" not in jar.name)

    with tempfile.TemporaryDirectory(prefix="etcdv2-zookeeper-") as name:
        place, port = Path(name), _free_port()
        (place / "zoo.cfg").write_text(
            f"dataDir={place}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n"
        )
        options = ("-Dzookeeper.forceSync=no", "-Dzookeeper.admin.enableServer=false", "-cp", classes)
        main = "org.apache.zookeeper.server.ZooKeeperServerMain"
        with (place / "log").open("w") as log:
            process = subprocess.Popen([java, *options, main, place / "zoo.cfg"], stdout=log, stderr=log)
        try:
            _wait_for(process, port, place / "log")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it serves. Raises NotToBeHad with what it said last."""
    ends = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5.0) as asked:
            asked.sendall(b"srvr")
            if asked.recv(1000).startswith(b"Zookeeper version"):
                return
        time.sleep(0.1)
    said = log.read_text().strip().splitlines() or ["nothing"]
    raise NotToBeHad(f"ZooKeeper does not serve; it said {said[-1]}")
