"""Answers that mean harm, as behaviours of `fault_server`: without end, drop by drop, mutated; and a raw capture.

Knows what a well member says to each operation (`tests.tools.recording`); knows nothing of the client.
"""

from __future__ import annotations

import json
import random
import re
import socket
from urllib.parse import parse_qs, urlsplit

from tests.tools.fault_server import Behaviour, Peer, Received, answer_bytes
from tests.tools.listener import Listener
from tests.tools.recording import ETCD_HEADERS, Noted, usual_answer

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
WATCHED = 10
"""X-Etcd-Index of a well member's watches."""
_PART = 1 << 16


def etcd_head(start: bytes = CHUNKED, **changed: str | None) -> bytes:
    """A head with the headers of a well member; `x_etcd_index="-1"` replaces one, None leaves it out."""
    headers: dict[str, str | None] = {**ETCD_HEADERS, "X-Etcd-Index": str(WATCHED)}
    names = {name.lower().replace("-", "_"): name for name in headers}
    headers |= {names.get(name, name.replace("_", "-")): value for name, value in changed.items()}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return start + "".join(lines).encode("latin-1") + b"\r\n"


def well() -> Behaviour:
    """What a member says on a good day; a watch has its event at once."""
    return Behaviour(lambda peer: _say(peer, well_answer(peer)))


def well_answer(peer: Peer) -> bytes:
    """The whole answer of a well member to the request that came last."""
    received = peer.received
    assert received is not None
    target = re.sub(r"^.*?(?=/v2/|/version|/health)", "", received.target)  # whatever path the endpoint has
    asked = parse_qs(urlsplit(target).query)
    if "wait" in asked:
        index = int(asked.get("waitIndex", [str(WATCHED + 1)])[0])
        return answer_bytes(200, {**ETCD_HEADERS, "X-Etcd-Index": str(max(WATCHED, index))}, event(index))
    status, body = usual_answer(Noted(received.method, "", target, received.headers, received.body))
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return answer_bytes(status, ETCD_HEADERS, content)


def event(index: int, key: str = "/a", value: str = "v") -> bytes:
    """One line of a watch."""
    node = {"key": key, "value": value, "modifiedIndex": index, "createdIndex": index}
    return json.dumps({"action": "set", "node": node}).encode() + b"\n"


def json_answer(body: bytes, status: int = 200, **changed: str | None) -> Behaviour:
    """Well headers, but for those `changed`, before a body that need not be JSON."""
    start = f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\n".encode()
    return Behaviour(lambda peer: _say(peer, etcd_head(start, **changed) + body))


def endless(start: bytes, part: bytes) -> Behaviour:
    """Send `start`, then `part` for ever, as fast as it is taken."""
    many = part * max(1, _PART // len(part))

    def act(peer: Peer) -> bool:
        peer.send(start)
        while not peer.stopping.is_set():
            peer.send(many)
        return False

    return Behaviour(act)


def dripping(start: bytes, part: bytes = b"x", every: float = 0.05) -> Behaviour:
    """Send `start`, then `part` for ever with pauses: there is never a long silence."""

    def act(peer: Peer) -> bool:
        peer.send(start)
        while not peer.stopping.wait(every):
            peer.send(part)
        return False

    return Behaviour(act)


class Mutating:
    """Well answers with some bytes flipped, put in, taken out or cut off; the same ones for the same seed.

    `sent` is the last answer as it went out.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sent = b""

    def behaviour(self) -> Behaviour:
        def act(peer: Peer) -> bool:
            self.sent = self.mutated(well_answer(peer))
            peer.send(self.sent)
            return False  # else a head that promises too much would cost each try its whole time

        return Behaviour(act)

    def mutated(self, data: bytes) -> bytes:
        rng = self.random
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data) + 1)
            what = rng.randrange(5)
            if what == 0:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            elif what == 1:
                data = data[:at] + rng.randbytes(rng.randint(1, 4)) + data[at:]
            elif what == 2:
                data = data[:at] + data[at + rng.randint(1, 8) :]
            elif what == 3:
                data = data[:at] + rng.choice(_WORDS) + data[at:]
            elif len(data) > at > 0 and rng.random() < 0.3:
                data = data[:at]
        return data


_WORDS = [
    b"\r\n",
    b"\r\n\r\n",
    b"0",
    b"-",
    b"9" * 30,
    b'"',
    b"{",
    b"}",
    b"[",
    b"null",
    b"\x00",
    b"\xff",
    b": ",
    b"1e400",
]


def _say(peer: Peer, data: bytes) -> bool:
    peer.send(data)
    return True


class Capture(Listener):
    """Takes down every byte that comes, and answers what looks like a request as a well member does."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []
        """What came before each answer, up to the last byte that was there."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, sock: socket.socket, number: int) -> None:
        peer = Peer(sock, self.stopping)
        raw = b""
        while data := sock.recv(_PART):
            raw += data
            head, end, body = raw.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            if not end or len(body) < (int(length[1]) if length else 0):
                continue
            method, target, *_ = head.decode("latin-1").split(" ")
            peer.received = Received(method, target, {}, body, number)
            self.taken.append(raw)
            raw = b""
            peer.send(well_answer(peer))
