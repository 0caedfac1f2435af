"""Programs that tests of the recipes run: `python -m tests.recipes.processes CASE URL`."""

from __future__ import annotations

import sys
import time

from etcdv2 import Client
from etcdv2.recipes import LeaseLost, Session
from tests.tools.children import fork
from tests.tools.waiting import SOON

TTL = 12


def ends_while_it_holds(url: str) -> None:
    """Neither released nor closed: the entry expires."""
    session = Session(Client(url), ttl=TTL)
    globals()["kept"] = session.lock("/locks/db").acquire(), session.create("/e/a", "v"), session.register("/e/b", "v")
    print("holds it")


def holds_until_it_is_killed(url: str) -> None:
    session = Session(Client(url), ttl=2)
    lease = session.lock("/locks/db").acquire()
    print(lease.token, flush=True)
    time.sleep(10 * SOON)


def forks_while_it_holds(url: str) -> None:
    """The child has none of it, and takes nothing away; the parent goes on."""
    import os

    with Client(url) as client, Session(client, ttl=TTL) as session:
        lease, registration = session.lock("/locks/db").acquire(), session.register("/e/b", "v")
        called: list[object] = []
        lease.on_lost(called.append)

        def child() -> None:
            assert not lease.held
            assert lease.lost.is_set()
            assert lease.reason == "it belongs to the parent process"
            assert called == []
            try:
                lease.check()
            except LeaseLost:
                pass
            else:
                raise AssertionError("it is held")
            assert lease.release() is False
            assert not registration.held
            assert registration.reason == "it belongs to the parent process"
            try:
                session.lock("/locks/other").acquire()
            except ValueError:
                pass
            else:
                raise AssertionError("it could be used")
            session.close()
            with Client(url) as other, Session(other, ttl=TTL) as own:
                assert own.lock("/locks/db").try_acquire() is None
                own.lock("/locks/mine").acquire().release()

        pid = fork(child)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        before = client.keys.get(lease.key).node.modified_index
        ends = time.monotonic() + SOON
        while client.keys.get(lease.key).node.modified_index == before:  # renewed by the parent
            assert time.monotonic() < ends
            time.sleep(0.05)
        lease.check()
        assert registration.held
        assert lease.release() is True
    print("held by the parent")


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
