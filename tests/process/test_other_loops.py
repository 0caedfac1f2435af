"""Where there is no event loop of asyncio (trio), and where the system has no `poll` (eventlet, Windows)."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from etcdv2 import AsyncClient
from etcdv2._transport.polling import READABLE, WRITABLE, SelectPoll
from tests.tools.faces import over
from tests.tools.waiting import SOON


async def _first(client: AsyncClient) -> object:
    async for event in client.keys.watch("/a"):
        return event
    return None


BEGUN: dict[str, Callable[[AsyncClient], Coroutine[Any, Any, object]]] = {
    "get": lambda client: client.keys.get("/a"),
    "set": lambda client: client.keys.set("/a", "1"),
    "with": lambda client: client.__aenter__(),
    "close": lambda client: client.close(),
    "health": lambda client: client.health(),
    "sync": lambda client: client.sync(),
    "next": lambda client: client.keys.watch("/a").next(timeout=1),
    "for": _first,
    "watch": lambda client: client.keys.watch("/a").__aenter__(),
    "mirror": lambda client: client.keys.mirror("/a").__aenter__(),
    "set_many": lambda client: client.keys.set_many({"/a": "1"}),
    "set_many of nothing": lambda client: client.keys.set_many({}),
    "refused key": lambda client: client.keys.get("//a"),
}


@pytest.mark.parametrize("transport", ["fast", "httpx"])
@pytest.mark.parametrize("begin", BEGUN.values(), ids=BEGUN)
def test_async_client_says_that_it_needs_asyncio(
    begin: Callable[[AsyncClient], Coroutine[Any, Any, object]], transport: str
) -> None:
    """Driven by hand, as trio drives it: no loop of asyncio runs."""
    begun = begin(AsyncClient("http://127.0.0.1:1", **over(transport)))
    with pytest.raises(RuntimeError, match=r"needs a running event loop of asyncio; .*trio\.to_thread"):
        begun.send(None)


WITHOUT_POLL = """
import select, ssl, sys
del select.poll, select.epoll
import etcdv2
from etcdv2.testing import Server, make_certificates

certificates = make_certificates(sys.argv[2])
with Server(sys.argv[1]) as plain, Server(sys.argv[1], tls=certificates.server()) as secured:
    for server in (plain, secured):
        tls = etcdv2.TLS(ca_file=certificates.ca_file) if server is secured else None
        with etcdv2.Client(server.url, tls=tls) as client:
            keys = client.keys
            with keys.watch("/a") as watcher:
                keys.set("/a", "x" * 1_000_000)
                assert watcher.next(timeout=60).value == "x" * 1_000_000
                assert watcher.next(timeout=0.05) is None
            assert len(keys.get("/a").value) == 1_000_000
try:
    etcdv2.Client("http://127.0.0.1:1").keys.get("/a")
except etcdv2.ClusterUnavailable as error:
    assert "refused" in str(error), error
print("done")
"""


def test_sync_client_does_without_poll(etcd_binary: Any, tmp_path: Any) -> None:
    """Every call raised AttributeError."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POLL, str(etcd_binary), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=2 * SOON,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


WITH_OTHER_SOCKETS = """
import select, socket, sys
import etcdv2
from etcdv2.testing import Server

class Socket:
    def __init__(self, *args, **kwargs):
        self.fd = plain(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.fd, name)

with Server(sys.argv[1]) as server:
    plain, socket.socket = socket.socket, Socket
    del select.poll, select.epoll
    for transport in (None, "httpx"):
        with etcdv2.Client(server.url, **({"transport": transport} if transport else {})) as client:
            keys = client.keys
            with keys.watch("/a") as watcher, keys.mirror("/") as mirror:
                keys.set("/a", "1")
                assert watcher.next(timeout=60).value == "1"
                assert mirror.wait_for(lambda state: "/a" in state, timeout=60)
                assert watcher.next(timeout=0.05) is None
            keys.delete("/a")
    socket.socket = plain
print("done")
"""


def test_sync_client_does_with_sockets_that_another_library_has_put_in_place(etcd_binary: Any) -> None:
    """Those of eventlet have their methods by instance: to end a poll raised AttributeError, so no mirror began."""
    done = subprocess.run(
        [sys.executable, "-c", WITH_OTHER_SOCKETS, str(etcd_binary)],
        capture_output=True,
        text=True,
        timeout=2 * SOON,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_select_stands_in_for_poll() -> None:
    poll = SelectPoll()
    one, other = socket.socketpair()
    with one, other:
        poll.register(one, READABLE)
        assert poll.poll(0) == []
        other.send(b"x")
        assert poll.poll(0) == poll.poll() == [(one.fileno(), READABLE)]
        poll.modify(one, READABLE | WRITABLE)
        assert poll.poll(1000) == [(one.fileno(), READABLE | WRITABLE)]
        poll.unregister(one)
        assert poll.poll(1) == []
        with pytest.raises(KeyError):
            poll.unregister(one)
        poll.register(1_000_000, READABLE)
        with pytest.raises(OSError, match="select cannot wait"):
            poll.poll(0)


def test_kept_alive_after_the_same_time_where_the_option_has_another_name() -> None:
    """macOS calls it TCP_KEEPALIVE."""
    program = (
        "import socket; idle = socket.TCP_KEEPIDLE; del socket.TCP_KEEPIDLE; socket.TCP_KEEPALIVE = idle\n"
        "from etcdv2._transport.sockets import KEEPALIVE_IDLE, tune\n"
        "sock = socket.socket(); tune(sock); assert sock.getsockopt(socket.IPPROTO_TCP, idle) == KEEPALIVE_IDLE == 20"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=SOON)
