"""What python-etcd's documentation shows, as cases that tell what came: for ours and for the real one.

`python -m tests.compat.cases ours|theirs PORT` prints what each case saw on an empty server as JSON.
Indexes are told by their distance from the first one, times to live roughly.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

INDEXES = re.compile(r"\[\d+ ?(?:!=|/) ?\d+\]")
"""As etcd has them in its errors."""
Case = Callable[[Any, Any], list[Any]]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def shown(result: Any, since: int) -> dict[str, Any]:
    """All of a result that does not differ from run to run."""
    told = {name: getattr(result, name) for name in ("action", "key", "value", "dir", "newKey")}
    told |= {
        name: None if getattr(result, name) is None else getattr(result, name) - since
        for name in ("modifiedIndex", "createdIndex")
    }
    told["ttl"] = result.ttl is not None and 0 < result.ttl <= 100
    told["expiration"] = type(result.expiration).__name__
    told["children"] = sorted([child["key"] for child in result._children])
    told["leaves"] = sorted([str(leaf.key) for leaf in result.leaves])
    told["subtree"] = sorted([str(node.key) for node in result.get_subtree()])
    told["prev"] = shown(result._prev_node, since) if hasattr(result, "_prev_node") else "absent"
    return told


def without_indexes(said: Any) -> Any:
    return INDEXES.sub("[...]", said) if isinstance(said, str) else said


class Book:
    """Notes what calls return or raise."""

    def __init__(self, etcd: Any, client: Any) -> None:
        self._etcd = etcd
        self.client = client
        self.since = client.write("/zero", "0").modifiedIndex
        self.notes: list[Any] = []

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            result = getattr(self.client, name)(*args, **kwargs)
        except Exception as error:
            bases = [base.__name__ for base in type(error).__mro__]
            payload = getattr(error, "payload", None)
            text = without_indexes(str(error)) if payload else ""
            told = {key: without_indexes(value) for key, value in (payload or {}).items() if key != "index"}
            self.notes.append([name, bases, text, told])
            return None
        if isinstance(result, self._etcd.EtcdResult):
            note = shown(result, self.since) | {"etcd_index": getattr(result, "etcd_index", self.since) - self.since}
        else:
            note = result
        self.notes.append([name, note])
        return result


@case
def writes_and_reads(etcd: Any, client: Any) -> list[Any]:
    book = Book(etcd, client)
    book("write", "/nodes/n1", 1)
    book("write", "/nodes/n2", "two", ttl=90)
    book("set", "nodes/n3", "ü & = ; %41")
    book("write", "/nodes/n1", True)
    book("write", "/nodes/n1", None)
    book("write", "/nodes/n4", 1.5, 60)
    book("write", "/nodes/n5", ["a", 1])
    book("set", key="/nodes/n6", value="x", ttl=50)
    for key in ("/nodes/n1", "/nodes/n2", "/nodes/n3", "/nodes/n5"):
        book("read", key)
        book("get", key)
    book("read", "/nodes", recursive=True, sorted=True)
    book("read", "/nodes", quorum=True, no_such_option=1)
    book("__contains__", "/nodes/n1")
    book("__contains__", "/nodes/none")
    book("read", "/nodes/none")
    book("read", "/nodes/n1/below")
    return book.notes


@case
def directories(etcd: Any, client: Any) -> list[Any]:
    book = Book(etcd, client)
    book("write", "/d", None, dir=True)
    book("read", "/d")
    book("write", "/d", None, dir=True)
    book("write", "/d", "value", dir=True)
    book("write", "/t", None, dir=True, ttl=60)
    book("write", "/d/e/f", "1")
    book("read", "/")
    book("read", "/d")
    book("read", "/d", recursive=True)
    book("delete", "/d")
    book("delete", "/d", dir=True)
    book("delete", "/d", recursive=True)
    book("delete", "/d", recursive=True)
    book("delete", "/t", dir=True)
    book("write", "/", "1")
    book("write", "/f", "1")
    book("write", "/f", None, dir=True, prevExist=False)
    book("update", client.read("/f"))
    return book.notes


@case
def conditions(etcd: Any, client: Any) -> list[Any]:
    book = Book(etcd, client)
    book("write", "/c", "1", prevExist=True)
    book("write", "/c", "1", prevExist=False)
    made = client.read("/c")
    book("write", "/c", "1", prevExist=False)
    book("write", "/c", "2", prevValue="1")
    book("write", "/c", "3", prevValue="1")
    book("write", "/c", "3", prevIndex=made.createdIndex)
    book("test_and_set", "/c", "4", "2")
    book("test_and_set", "/c", "5", "2", ttl=60)
    book("test_and_set", key="/c", value="5", prev_value="4", ttl=60)
    book("test_and_set", "/c", "6", None)
    found = client.read("/c")
    found.value = "7"
    book("update", found)
    book("update", found)
    book("refresh", "/c", 80)
    book("refresh", "/none", 80)
    book("delete", "/c", prevValue="no")
    book("delete", "/c", prevIndex=1)
    book("pop", "/c", prevValue="7")
    book("pop", "/c")
    return book.notes


@case
def in_order(etcd: Any, client: Any) -> list[Any]:
    book = Book(etcd, client)
    first = client.write("/q", "a", append=True)
    second = client.write("/q", "b", append=True, ttl=60)
    names = [one.key.rpartition("/")[2] for one in (first, second)]
    book.notes.append([len(names[0]), names[0] < names[1], int(names[1]) - int(names[0])])
    book.notes.append([leaf.value for leaf in client.read("/q", sorted=True).leaves])
    return book.notes


@case
def watches(etcd: Any, client: Any) -> list[Any]:
    book = Book(etcd, client)
    first = client.write("/w/a", "1")
    client.write("/w/b", "2")
    client.delete("/w/a")
    book("watch", "/w", index=first.modifiedIndex, recursive=True)
    book("watch", "/w", first.modifiedIndex + 1, 5, True)
    book("read", "/w/a", wait=True, waitIndex=first.modifiedIndex + 1)
    book("watch", "/w/none", timeout=0.2)
    threading.Timer(0.2, client.write, ("/w/c", "3")).start()
    book("watch", "/w/c", timeout=20)
    events = client.eternal_watch("/w", index=first.modifiedIndex, recursive=True)
    book.notes.append([(event.action, event.key) for event in islice(events, 4)])
    for number in range(1001):
        client.write("/w/many", number)
    book("watch", "/w", index=first.modifiedIndex)
    return book.notes


@case
def the_cluster(etcd: Any, client: Any) -> list[Any]:
    del etcd
    member = client.leader
    return [
        client.machines == [client.base_uri],
        list(client.members) == [member["id"]],
        sorted(member),
        sorted(client.stats),
        sorted(client.leader_stats),
        sorted(client.store_stats),
        client.version,
        client.cluster_version,
        [client.host, client.protocol, client.key_endpoint, client.lock_prefix, client.read_timeout],
        client.allow_redirect,
        client.expected_cluster_id is None,
    ]


@case
def equality(etcd: Any, client: Any) -> list[Any]:
    book = Book(etcd, client)
    client.write("/e", "1")
    one, other = client.read("/e"), client.read("/e")
    other.value = "2"
    made = etcd.EtcdResult(
        action="get",
        node={"key": "/d", "dir": True, "nodes": [{"key": "/d/a", "value": "1"}]},
        prevNode={"key": "/d", "dir": True},
    )
    return [
        one == client.read("/e"),
        one == other,
        one != other,
        one == 1,
        made._children,
        made._prev_node.dir,
        book.notes,
    ]


@case
def a_lock(etcd: Any, client: Any) -> list[Any]:
    lock = etcd.Lock(client, "job")
    notes: list[Any] = [lock.path, lock.is_taken, lock.is_acquired, len(lock.uuid)]
    notes.append(lock.acquire(blocking=False, lock_ttl=60))
    entry = client.read(lock.lock_key)
    notes += [entry.value == lock.uuid, entry.ttl is not None, len(entry.key), lock.is_acquired, lock.is_taken]
    second = etcd.Lock(client, "job")
    notes += [second.acquire(blocking=False), second.is_acquired]
    notes += [lock.acquire(lock_ttl=30), lock.release(), lock.is_taken, second.acquire(), second.is_acquired]
    second.release()
    with etcd.Lock(client, "job") as third:
        notes += [third.is_acquired, client.read(third.lock_key).ttl]
    for wrong in (lambda: etcd.Lock(client, "job").release(), lambda: setattr(lock, "uuid", "none")):
        try:
            wrong()
        except ValueError as error:
            notes.append(str(error))
    notes.append([leaf.key for leaf in client.read("/locks/job").leaves])
    return notes


def main(whose: str, port: int) -> None:
    if whose == "ours":
        import etcdv2.compat

        etcdv2.compat.install()
    import etcd  # type: ignore[import-not-found, unused-ignore]

    found: dict[str, Any] = {}
    for name, run in CASES.items():
        client = etcd.Client(port=port, lock_prefix="/locks")
        for leaf in list(client.read("/").leaves):
            if leaf.key:
                client.delete(leaf.key, recursive=True)
        found[name] = run(etcd, client)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
