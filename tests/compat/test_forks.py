"""A client that is there before a fork, as in a server that forks its workers: parent and children use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from etcdv2.testing import Certificates, Server
from tests.tools.waiting import SOON

ROOT = Path(__file__).resolve().parents[2]

WORKERS = """
import sys
from tests.tools.children import ended_well, fork, no_other_thread
import etcdv2.compat
etcdv2.compat.install()
import etcd

settings = {"host": "localhost", "port": int(sys.argv[1]), "lock_prefix": "/locks"}
if len(sys.argv) > 2:
    settings |= {"protocol": "https", "ca_cert": sys.argv[2]}
client = etcd.Client(**settings)
since = client.write("/before", "parent").modifiedIndex
held = etcd.Lock(client, "held")
held.acquire(lock_ttl=600)

def work(who):
    for number in range(10):
        client.write(f"/work/{who}", f"{who}-{number}")
        assert client.read(f"/work/{who}").value == f"{who}-{number}"
    assert client.watch("/before", index=since).value == "parent"
    assert held.is_acquired
    with etcd.Lock(client, "job"):
        before = client.read("/counter").value
        client.write("/counter", int(before) + 1)

client.write("/counter", 0)
no_other_thread()
children = [fork(lambda who=f"child{number}": work(who)) for number in range(3)]
work("parent")
for child in children:
    ended_well(child)
assert client.read("/counter").value == "4"
held.release()
print("done")
"""

WHILE_IT_IS_MADE = """
import sys, threading
from tests.tools.children import ended_well, fork
import etcdv2.compat
etcdv2.compat.install()
import etcd
from etcdv2.compat.python_etcd import _engine

client = etcd.Client(port=int(sys.argv[1]))
begun, go = threading.Event(), threading.Event()
pointed_at = _engine.Engine._pointed_at

def slowly(engine, wanted):
    begun.set()
    go.wait()
    return pointed_at(engine, wanted)

_engine.Engine._pointed_at = slowly
first = threading.Thread(target=client.write, args=("/a", "1"))
first.start()
begun.wait()
child = fork(lambda: (setattr(_engine.Engine, "_pointed_at", pointed_at), client.write("/b", "2")))
go.set()
first.join()
ended_well(child)
assert (client.read("/a").value, client.read("/b").value) == ("1", "2")
print("done")
"""


def run(program: str, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * SOON,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_parent_and_children_use_one_client(etcd: Server) -> None:
    run(WORKERS, etcd.port)


def test_parent_and_children_use_one_client_with_tls(secure: Server, certificates: Certificates) -> None:
    run(WORKERS, secure.port, certificates.ca_file)


def test_child_forked_while_the_first_call_of_another_thread_is_under_way(etcd: Server) -> None:
    run(WHILE_IT_IS_MADE, etcd.port)
