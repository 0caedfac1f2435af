"""What `test_forks` runs in processes of its own, which fork: `python -m tests.tools.forking CASE URL TRANSPORT [CA]`.

Each case is a function; `tests.tools.children` has what a child does, and how it reports.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

from etcdv2 import TLS, AsyncClient, AttemptInfo, Client, Timeout
from etcdv2._transport import thread_connection as connection
from etcdv2._transport import thread_socket
from tests.tools.children import CALLS, CHILDS_THREADS, HANGS, ended_well, fork, no_other_thread, talk, talk_in_threads
from tests.tools.faces import over
from tests.tools.leftovers import sockets
from tests.tools.waiting import SOON, until

CHILDREN = 3


def options(transport: str, ca: str) -> dict[str, Any]:
    patient = Timeout(connect=10, attempt=10, commit=10, total=30)
    return {"timeout": patient, **over(transport), **({"tls": TLS(ca_file=ca)} if ca else {})}


def calls(url: str, transport: str, ca: str) -> None:
    """Parent and children talk at once, over a client that had connections before."""
    failed: list[str] = []

    def note(info: AttemptInfo) -> None:
        if info.error is not None:
            failed.append(info.error)

    with Client(url, after_attempt=note, **options(transport, ca)) as client:
        while len(parents := sockets()) <= CHILDS_THREADS:  # children that keep them would not use them all
            talk_in_threads(client, "before")

        def child(who: str) -> None:
            client.keys.exists("/")  # the first call already has none of the parent's
            assert not sockets() & parents
            talk_in_threads(client, who, CHILDS_THREADS)
            assert not sockets() & parents
            client.close()
            assert not failed, failed

        no_other_thread()
        start, go = os.pipe()
        children = [fork(lambda who=f"child{n}": child(who), start) for n in range(CHILDREN)]  # type: ignore[misc]
        os.write(go, b"0" * CHILDREN)
        talk_in_threads(client, "parent")
        for pid in children:
            ended_well(pid)
        talk_in_threads(client, "after")
    assert not failed, failed


def refused(url: str, transport: str, ca: str) -> None:
    """Over httpx a child has to make a client of its own, and gets a ValueError; the parent's calls and watch go on."""
    with Client(url, **options(transport, ca)) as client, client.keys.watch("/refused") as watcher:
        talk(client, "before")

        def child() -> None:
            for call in (lambda: client.keys.get("/talk"), lambda: client.keys.set("/talk/a", "1"), client.sync):
                refuses(call)
            refuses(lambda: client.keys.watch("/own").__enter__())
            client.close()
            is_closed(watcher.next)
            with Client(url, **options(transport, ca)) as own:
                talk(own, "own")

        pid = fork(child)
        talk(client, "parent")
        ended_well(pid)
        client.keys.set("/refused", "1")
        assert watcher.next(timeout=SOON) is not None

    async def parent() -> None:
        async with AsyncClient(url, **options(transport, ca)) as one:
            await one.keys.get("/")
            pid = fork(lambda: refuses(lambda: asyncio.run(one.keys.get("/"))))
            await one.keys.get("/")
            await asyncio.to_thread(ended_well, pid)

    asyncio.run(parent())


def refuses(call: Callable[[], object]) -> None:
    said = "nothing"
    try:
        call()
    except ValueError as error:
        said = str(error)
    assert "made before a fork: make one in each process" in said, said


def is_closed(call: Callable[[], object]) -> None:
    said = "nothing"
    try:
        call()
    except ValueError as error:
        said = str(error)
    assert said.endswith(" is closed"), said


def without_check(url: str, transport: str, ca: str) -> None:
    """`calls` of a client that is not called after a fork, as long as its children live."""
    connection.Connection.forget = lambda self: None  # type: ignore[method-assign]
    from etcdv2._transport.threads import FastTransport

    FastTransport.after_fork = lambda self: None  # type: ignore[method-assign]
    calls(url, transport, ca)


@contextlib.contextmanager
def holding(*locks: Any) -> Iterator[None]:
    """Another thread holds them meanwhile."""
    has, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            has.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    has.wait()
    yield
    done.set()
    thread.join()


def locks_of(*roots: object) -> list[Any]:
    """Every lock and condition that these objects of the client have, themselves or within."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if hasattr(one, "acquire") and hasattr(one, "release"):
            found[id(one)] = one
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, (set, list, tuple, WeakSet)):
            waiting += one
        elif type(one).__module__.startswith("etcdv2."):
            names = [*getattr(one, "__slots__", ()), *getattr(one, "__dict__", ())]
            waiting += [getattr(one, name) for name in names if hasattr(one, name)]
    return list(found.values())


def locked(url: str, transport: str, ca: str) -> None:
    """Fork while another thread holds everything that calls, watches and mirrors take."""
    with Client(url, **options(transport, ca)) as client:
        with client.keys.watch("/k") as watcher, client.keys.mirror("/k") as mirror:

            def child() -> None:
                talk(client, "child")
                with client.keys.watch("/own") as own, client.keys.mirror("/") as copy:
                    client.keys.set("/own", "1")
                    event = own.next(timeout=SOON)
                    assert event is not None
                    assert event.value == "1"
                    assert copy.wait_for(lambda state: "/own" in state, timeout=SOON)
                watcher.close()
                mirror.close()
                client.close()

            talk(client, "before")
            locks = [*locks_of(client, watcher, mirror), thread_socket._ending]
            assert len(locks) > 5
            with holding(*locks):
                pid = fork(child)
            ended_well(pid)
            client.keys.set("/k", "1")
            assert watcher.next(timeout=SOON) is not None


def any_moment(url: str, transport: str, ca: str) -> None:
    """Fork again and again while threads do everything; each child calls and watches and closes."""
    stop = threading.Event()
    failures: list[BaseException] = []
    with Client(url, **options(transport, ca)) as client:
        talk(client, "before")  # what Python imports at a first call is locked while it does, and a fork keeps that

        def busy(who: int) -> None:
            try:
                while not stop.is_set():
                    client.keys.set(f"/busy/{who}", "1")
                    with client.keys.watch(f"/busy/{who}") as watcher:
                        client.keys.set(f"/busy/{who}", "2")
                        event = watcher.next(timeout=SOON)
                        assert event is not None
                        assert event.value == "2"
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=busy, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()

        def child(who: int) -> None:
            client.keys.set(f"/child/{who}", f"{who}")
            assert client.keys.get(f"/child/{who}").value == f"{who}"
            with client.keys.watch(f"/child/{who}") as watcher:
                client.keys.set(f"/child/{who}", "watched")
                assert watcher.next(timeout=SOON) is not None
            client.close()

        try:
            for who in range(30):
                ended_well(fork(lambda who=who: child(who)))  # type: ignore[misc]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not failures, failures


def in_child(watcher: Any, mirror: Any, client: Client, how: str) -> None:
    if how == "close":
        watcher.close()
        mirror.close()
    elif how == "client":
        client.close()
    elif how == "own":
        is_closed(watcher.next)
        with client.keys.watch("/own") as own:
            client.keys.set("/own", "child's")
            event = own.next(timeout=SOON)
            assert event is not None
            assert event.value == "child's"
            # Its next poll has one who looks after it, soon.
            until(lambda: "etcdv2-index" in [thread.name for thread in threading.enumerate()])
        assert mirror.state["/m/a"].value == "0"
        client.close()
    elif how == "exit":
        sys.exit(0)
    elif how == "ended":
        assert watcher.closed
        is_closed(watcher.next)
        assert mirror.closed
        is_closed(lambda: mirror.wait_for(lambda state: False))
        assert mirror.stale_for is not None


def watching(how: str, url: str, transport: str, ca: str) -> None:
    """A watcher and a mirror are open; whatever the child does with its copies, the parent's go on as they are."""
    polls: list[str] = []

    def note(info: AttemptInfo) -> None:
        if info.operation == "watch" and info.path == "/v2/keys/m":  # the others are those of the index monitor
            polls.append(info.path)

    with Client(url, before_attempt=note, **options(transport, ca)) as client:
        client.keys.set("/m/a", "0")
        watcher = client.keys.watch("/m", recursive=True).__enter__()
        mirror = client.keys.mirror("/m").__enter__()
        begun = len(polls)
        pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(HANGS, exit=True)
            code = 1
            try:
                if how == "collect":
                    del watcher, mirror, client
                    gc.collect()
                else:
                    in_child(watcher, mirror, client, how)
                code = 0
            except SystemExit:
                raise
            except BaseException:
                traceback.print_exc()
            finally:
                if how != "exit":
                    sys.stderr.flush()
                    os._exit(code)
        ended_well(pid)
        assert len(polls) == begun, polls
        for number in range(1, 6):
            client.keys.set("/m/a", f"{number}")
        values = [event.value for _ in range(5) if (event := watcher.next(timeout=SOON)) is not None]
        assert values == ["1", "2", "3", "4", "5"], values
        assert mirror.wait_for(lambda state: state["/m/a"].value == "5", timeout=SOON)


def looping(url: str, transport: str, ca: str) -> None:
    """An AsyncClient at the fork: the child uses it in a loop of its own, the parent goes on in its loop."""

    async def chat(client: AsyncClient, who: str) -> None:
        for number in range(CALLS):
            await client.keys.set(f"/talk/{who}", f"{who}-{number}")
            assert (await client.keys.get(f"/talk/{who}")).value == f"{who}-{number}"

    async def child(client: AsyncClient, who: str) -> None:
        await asyncio.gather(*(chat(client, f"{who}.{n}") for n in range(3)))
        await client.close()

    async def parent() -> None:
        failed: list[str] = []

        def note(info: AttemptInfo) -> None:
            if info.error is not None:
                failed.append(info.error)

        async with AsyncClient(url, after_attempt=note, **options(transport, ca)) as client:
            await asyncio.gather(*(chat(client, f"before.{n}") for n in range(3)))
            async with client.keys.watch("/m") as watcher:
                children = [
                    fork(lambda who=f"child{n}": asyncio.run(child(client, who)))  # type: ignore[misc]
                    for n in range(CHILDREN)
                ]
                await asyncio.gather(*(chat(client, f"parent.{n}") for n in range(3)))
                for pid in children:
                    await asyncio.to_thread(ended_well, pid)
                assert not failed, failed
                await client.keys.set("/m", "1")
                event = await watcher.next(timeout=SOON)
                assert event is not None
                assert event.value == "1"

    asyncio.run(parent())


CASES: dict[str, Callable[[str, str, str], None]] = {
    case.__name__: case for case in (calls, refused, without_check, locked, any_moment, looping)
}
for one in ("close", "client", "collect", "own", "exit", "ended"):
    CASES[f"watching-{one}"] = lambda url, transport, ca, one=one: watching(one, url, transport, ca)  # type: ignore[misc]

if __name__ == "__main__":
    CASES[sys.argv[1]](sys.argv[2], sys.argv[3], sys.argv[4])
