"""Warnings that name the native call for each call of python-etcd's. Off, unless somebody wants them.

Owns the table of names, and whose call it was that a warning is shown for.
"""

# Python 3.11 has no other way to see who calls.
# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
import sys
import warnings

wanted = os.environ.get("ETCDV2_COMPAT_WARN", "") not in ("", "0")
"""Whether to warn."""

NATIVE = {
    "Client": 'etcdv2.Client("http://host:2379"), or a list of URLs',
    "read": "client.keys.get(key), with recursive= and sorted=; client.keys.watch(key) for wait=True",
    "get": "client.keys.get(key)",
    "write": "client.keys.set, create (prevExist=False), update (prevExist=True), make_dir, create_in_order (append)",
    "set": "client.keys.set(key, value)",
    "test_and_set": "client.keys.set(key, value, prev_value=old)",
    "update": "client.keys.modify(key, change), or keys.set(key, value, prev_index=node.modified_index)",
    "refresh": "client.keys.refresh(key, ttl)",
    "delete": "client.keys.delete(key), or keys.remove_dir(key)",
    "pop": "client.keys.delete(key).prev_node",
    "watch": "client.keys.watch(key, after_index=index - 1), then next(timeout=)",
    "eternal_watch": "for event in client.keys.watch(key, after_index=index - 1)",
    "__contains__": "client.keys.exists(key)",
    "machines": "client.machines()",
    "members": "client.members.list()",
    "leader": "client.members.leader()",
    "stats": "client.stats.self_()",
    "leader_stats": "client.stats.leader()",
    "store_stats": "client.stats.store()",
    "version": "client.version()",
    "api_execute": "client.raw.send(method, path, query=, form=)",
    "api_execute_json": "client.raw.send(method, path, json=)",
    "http": "no other way to send; give transport= to use your own",
    "get_lock": "etcdv2.recipes.Session(client).lock(key)",
    "election": "etcdv2.recipes.Session(client).election(key)",
    "EtcdUser": "client.auth.users",
    "EtcdRole": "client.auth.roles",
    "Auth": "client.auth",
    "Lock": "etcdv2.recipes.Session(client).lock(key)",
}

_ROOM = __name__.rpartition(".")[0]


def advise(name: str) -> None:
    """Warn whoever called the method of that name, unless that was another one of this room."""
    if not wanted:
        return
    frame = sys._getframe(2)
    if str(frame.f_globals.get("__name__", "")).startswith(_ROOM):
        return
    warnings.warn(f"python-etcd's {name}: in etcdv2 {NATIVE[name]}", PendingDeprecationWarning, stacklevel=3)
