"""A made-up member for faults in the middle of a watch: its index, its history and its silence are the test's.

Answers as etcd does (`spec/protocol.md` section 11) unless set otherwise; keys are flat, and only sets happen.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer_bytes

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: %s\r\nX-Etcd-Index: %d\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"
MEMBER = b'{"id":"f00d","startTime":"%d"}'
"""All connections go to this one, which was started then."""


def line(index: int, key: str = "/k", action: str = "set") -> bytes:
    """An event whose value is its index."""
    node = {"key": key, "value": str(index), "modifiedIndex": index, "createdIndex": index}
    return json.dumps({"action": action, "node": node}).encode() + b"\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class ScriptedStore(FaultServer):
    """`happen` makes events; `polls` are behaviours for the next watches of /k, before they are answered as usual."""

    def __init__(self, index: int = 100, cluster: str = "aa") -> None:
        super().__init__(default=Behaviour(self._act))
        self.index = index
        self.cluster = cluster
        self.quorum_index: int | None = None
        """What a quorum read shows, if not `index`; 0: it is answered with "request timed out"."""
        self.quorum_read: Callable[[], None] = lambda: None
        """Called by each quorum read before its answer."""
        self.refused: set[str] = set()
        """Keys that may not be read."""
        self.kept = 1000
        """So many indexes of history."""
        self.polls: deque[Poll] = deque()
        self.streams: deque[Poll] = deque()
        """As `polls`, for `stream=true`."""
        self.asked: list[str] = []
        """Targets of the watches, in order."""
        self.started = 1
        """Restarts are its to count."""
        self.raft_headers = b""
        """Further headers of watches."""
        self.stalled = False
        """Answers nothing."""
        self.away = False
        """Hangs up on every request."""
        self.watching = 0
        """Watches that wait now."""
        self._history: list[tuple[int, str, bytes]] = []
        self._happened = threading.Condition()

    def happen(self, *, count: int = 1, foreign: int = 0, key: str = "/k") -> None:
        """`foreign` changes of other keys, then `count` of `key`."""
        with self._happened:
            self.index += foreign
            for _ in range(count):
                self.index += 1
                self._history.append((self.index, key, line(self.index, key)))
            self._happened.notify_all()

    def restore(self, index: int, cluster: str | None = None) -> None:
        """Put back to an older state, or replaced; connections stay as they are."""
        with self._happened:
            self.index = index
            self.cluster = cluster or self.cluster
            self._history = [one for one in self._history if one[0] <= index]

    def restart(self) -> None:
        """Another process with the same data."""
        self.started += 1
        self.hang_up()

    def replace(self, index: int, data: bytes) -> None:
        """What happened at that index was something else."""
        with self._happened:
            self._history = [(at, key, data if at == index else old) for at, key, old in self._history]

    def head(self) -> bytes:
        head = HEAD % (self.cluster.encode(), self.index)
        return head[:-2] + self.raft_headers + head[-2:]

    def lines(self, after: int, key: str = "/k") -> list[bytes]:
        """Events of the key later than `after`."""
        return [data for index, its, data in self._history if index > after and its == key]

    def _stop(self) -> None:
        with self._happened:
            self._happened.notify_all()

    def _act(self, peer: Peer) -> bool:
        assert peer.received is not None
        if self.away:
            return False
        if self.stalled:
            return silent(peer)
        target = urlsplit(peer.received.target)
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        if target.path == "/v2/stats/self":
            peer.send(answer_bytes(200, {"Content-Type": "application/json"}, MEMBER % self.started))
            return True
        if "wait" not in asked:
            self._read(peer, target.path.removeprefix("/v2/keys"), quorum="quorum" in asked)
            return True
        self.asked.append(peer.received.target)
        scripted = self.streams if "stream" in asked else self.polls
        with self._happened:
            self.watching += 1
        try:
            key = target.path.removeprefix("/v2/keys")
            if scripted and key == "/k":
                return scripted.popleft()(peer)
            return self.watch(peer, int(asked.get("waitIndex", 0)), key, stream="stream" in asked)
        except OSError:
            return False
        finally:
            with self._happened:
                self.watching -= 1

    def _read(self, peer: Peer, key: str, *, quorum: bool) -> None:
        if quorum:
            self.quorum_read()
        index = self.index if self.quorum_index is None or not quorum else self.quorum_index
        status, body = 404, {"errorCode": 100, "message": "Key not found", "cause": key, "index": index}
        known = self.lines(0, key)
        if key in self.refused:
            status, index = 401, 0
            body = {"errorCode": 110, "message": "The request requires user authentication", "cause": "", "index": 0}
        elif quorum and not index:
            status, body = 500, {"errorCode": 300, "message": "Raft Internal Error", "cause": "timed out", "index": 0}
        elif known:
            status, body = 200, {**json.loads(known[-1]), "action": "get"}
        headers = {"Content-Type": "application/json", "X-Etcd-Cluster-Id": self.cluster, "X-Etcd-Index": str(index)}
        peer.send(answer_bytes(status, headers, json.dumps(body).encode()))

    def watch(self, peer: Peer, wait_index: int, key: str = "/k", *, stream: bool) -> bool:
        with self._happened:
            head, registered = self.head(), self.index
        if wait_index and wait_index <= registered - self.kept:
            cause = f"the requested history has been cleared [{registered - self.kept + 1}/{wait_index}]"
            body = {
                "errorCode": 401,
                "message": "The event in requested index is outdated and cleared",
                "cause": cause,
                "index": registered,
            }
            headers = {"Content-Type": "application/json", "X-Etcd-Cluster-Id": self.cluster}
            headers["X-Etcd-Index"] = str(registered)
            peer.send(answer_bytes(400, headers, json.dumps(body).encode()))
            return True
        last = (wait_index or registered + 1) - 1
        peer.send(head)
        while True:
            with self._happened:
                while not (found := self.lines(last, key)):
                    if self.stopping.is_set():
                        return False
                    if has_gone(peer):
                        peer.send(END)  # as etcd does when the client closes its sending half
                        return False
                    self._happened.wait(0.05)
            if not stream:
                peer.send(chunk(found[0]) + END)
                return True
            for data in found:
                peer.send(chunk(data))
                last = json.loads(data)["node"]["modifiedIndex"]


class DeafPoll:
    """A poll that does not end when its client closes the sending half, as behind a proxy; only for a full close."""

    def __init__(self, store: ScriptedStore) -> None:
        self._store = store
        self.released = threading.Event()
        """From here on it looks whether the client has gone for good: by sending, which that would read."""

    def __call__(self, peer: Peer) -> bool:
        peer.send(self._store.head())
        while not self.released.wait(0.02):
            if peer.stopping.is_set():
                return False
        while not peer.stopping.wait(0.01):
            peer.send(b"0")  # fails when the client has closed both halves
        return False


def has_gone(peer: Peer) -> bool:
    """Whether the client has closed its side."""
    try:
        return peer.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def silent(peer: Peer) -> bool:
    """Nothing more comes, until the client goes."""
    while not has_gone(peer) and not peer.stopping.wait(0.02):
        pass
    return False


Poll: TypeAlias = Callable[[Peer], bool]
"""What to do with a watch; whether the connection goes on."""
