"""Salt's client of etcd v2: `python with_salt.py PLACE PORT`. What of salt it imports is given by stand-ins."""

from __future__ import annotations

import sys
import types
from typing import Any

import etcdv2.compat

etcdv2.compat.install()
place, port = sys.argv[1], int(sys.argv[2])


def stand_in(name: str, **names: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = [f"{place}/{name.replace('.', '/')}"]
    vars(module).update(names)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


stand_in("salt")
stand_in("salt.utils")
stand_in("salt.utils.msgpack", HAS_MSGPACK=False)
stand_in("salt.utils.versions", warn_until=lambda *args, **kwargs: None)
stand_in("salt.exceptions", SaltException=Exception)

import salt.utils.etcd_util as etcd_util  # type: ignore[import-not-found, unused-ignore] # noqa: E402

assert etcd_util.HAS_ETCD_V2
client = etcd_util.get_conn({"etcd.host": "127.0.0.1", "etcd.port": port})

# 1. What its module, pillar and returner do.
assert client.set("/salt/a", "1") == "1"
assert client.get("/salt/a") == "1"
assert client.get("/salt/none") is None
assert client.write("/salt/d", None, directory=True) is True
assert client.update({"x": "1", "y": {"z": "2"}}, path="/salt/u") == {"/salt/u/x": "1", "/salt/u/y/z": "2"}
assert client.ls("/salt") == {"/salt": {"/salt/a": "1", "/salt/d/": {}, "/salt/u/": {}}}
assert etcd_util.tree(client, "/salt") == {"a": "1", "d": {}, "u": {"x": "1", "y": {"z": "2"}}}
assert client.get("/salt/u", recurse=True) == {"x": "1", "y": {"z": "2"}}
assert client.delete("/salt/u") is None
assert client.rm("/salt/u", recurse=True) is True

# 2. What its engine and sdb wait for.
made = client.read("/salt/a")
assert client.watch("/salt", recurse=True, timeout=5, start_revision=made.modifiedIndex) == {
    "key": "/salt/a",
    "value": "1",
    "changed": True,
    "dir": False,
    "mIndex": made.modifiedIndex,
}
assert client.watch("/salt/a", timeout=0.2) is None

# 3. Nobody listens.
away = etcd_util.get_conn({"etcd.host": "127.0.0.1", "etcd.port": 1})
assert away.get("/salt/a") is None
assert away.set("/salt/a", "1") is None
print("done")
