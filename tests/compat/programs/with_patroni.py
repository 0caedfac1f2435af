"""Patroni's store in etcd v2: `python with_patroni.py PLACE PORT...`, one port for each member."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import etcdv2.compat

etcdv2.compat.install()
place, ports = sys.argv[1], sys.argv[2:]
sys.path.append(place)

# Nothing here talks to PostgreSQL.
psycopg, conninfo = types.ModuleType("psycopg"), types.ModuleType("psycopg.conninfo")
errors = ("DatabaseError", "Error", "OperationalError", "ProgrammingError")
vars(psycopg).update(dict.fromkeys(errors, Exception), sql=types.SimpleNamespace(), connect=None)
vars(conninfo).update(conninfo_to_dict=dict)
sys.modules |= {"psycopg": psycopg, "psycopg.conninfo": conninfo}

import etcd  # type: ignore[import-not-found, unused-ignore] # noqa: E402
from patroni.dcs import get_dcs  # type: ignore[import-not-found, unused-ignore] # noqa: E402

settings = {
    "scope": "demo",
    "name": "one",
    "ttl": 30,
    "loop_wait": 10,
    "retry_timeout": 10,
    "etcd": {"hosts": [f"127.0.0.1:{port}" for port in ports]},
}
dcs: Any = get_dcs(settings)
assert isinstance(dcs._client, etcd.Client)

# 1. A cluster begins: its first member becomes the leader.
assert dcs.initialize(True, "7000")
assert not dcs.initialize(True, "7001")
assert dcs.touch_member({"conn_url": "postgres://one", "state": "running"})
assert dcs.attempt_to_acquire_leader()
assert not dcs.attempt_to_acquire_leader()
assert dcs.set_config_value(json.dumps({"ttl": 30}))

# 2. The loop of Patroni: read all, hold the lock, write the status.
cluster = dcs.get_cluster()
assert (cluster.initialize, cluster.leader.name) == ("7000", "one")
assert [member.name for member in cluster.members] == ["one"]
assert cluster.config.data == {"ttl": 30}
assert dcs.update_leader(cluster, 7)
cluster = dcs.get_cluster()
assert cluster.status.last_lsn == 7
assert dcs.watch(None, 0.1) is False

# 3. A change of settings, a refusal, the end.
dcs.set_ttl(20)
dcs.set_retry_timeout(5)
assert len(dcs._client.machines) == len(ports)
assert not dcs.set_failover_value("{}", version=1)
assert dcs.delete_leader(cluster.leader)
assert dcs.delete_cluster()
assert dcs.get_cluster().leader is None
print("done")
