"""A program that gevent has patched, as many of python-etcd's were: `python with_gevent.py PLACE PORT`."""

from __future__ import annotations

import sys

place, port = sys.argv[1], int(sys.argv[2])
sys.path.append(place)

import gevent.monkey  # type: ignore[import-not-found, unused-ignore] # noqa: E402

gevent.monkey.patch_all()

import gevent  # noqa: E402

import etcdv2.compat  # noqa: E402

etcdv2.compat.install()

import etcd  # type: ignore[import-not-found, unused-ignore] # noqa: E402

client = etcd.Client(port=port, lock_prefix="/locks")
since = client.write("/zero", "0").modifiedIndex + 1


def entries() -> list[str]:
    return sorted(leaf.key for leaf in client.read("/locks/job").leaves if not leaf.dir)


# 1. One that waits lets all others run, on the same client.
seen: list[str] = []


def follow() -> None:
    for event in client.eternal_watch("/many", index=since, recursive=True):
        seen.append(event.value)
        if len(seen) == 40:
            return


def write(number: int) -> None:
    for count in range(4):
        client.write(f"/many/{number}/{count}", number)


follower = gevent.spawn(follow)
to_come = gevent.spawn(client.watch, "/to/come", timeout=60)
gevent.joinall([gevent.spawn(write, number) for number in range(10)], raise_error=True)
follower.get(timeout=60)
assert sorted(seen) == sorted(str(number) for number in range(10) for _ in range(4)), seen
assert not to_come.ready()
client.write("/to/come", "here")
assert to_come.get(timeout=60).value == "here"

# 2. Limits: etcd's own, gevent's, and a greenlet that is killed.
try:
    client.watch("/none", timeout=0.1)
    raise AssertionError("it came in time")
except etcd.EtcdWatchTimedOut:
    pass
assert gevent.with_timeout(0.2, client.watch, "/none", timeout=0, timeout_value="over") == "over"
waiting = gevent.spawn(client.watch, "/none", timeout=0)
gevent.sleep(0.1)
waiting.kill()
assert client.read("/zero").value == "0"

# 3. A lock that is waited for in vain leaves no entry; one that comes is held by one at a time.
lock = etcd.Lock(client, "job")
assert lock.acquire(lock_ttl=60)
assert gevent.with_timeout(0.3, etcd.Lock(client, "job").acquire, timeout_value="over") == "over"
assert entries() == [lock.lock_key]
course: list[str] = []


def turn() -> None:
    with etcd.Lock(client, "job"):
        course.append("begins")
        client.write("/turn", "1")
        course.append("ends")


contenders = [gevent.spawn(turn) for _ in range(5)]
gevent.sleep(0.1)
assert course == []
lock.release()
gevent.joinall(contenders, timeout=60, raise_error=True)
assert course == ["begins", "ends"] * 5
assert entries() == []
print("done")
