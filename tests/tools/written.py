"""A writer that knows what it did: raw requests to a real server, many in a row, and the index of each.

Shares nothing with the client under test. Owns no idea of what a watcher should see.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, TypedDict
from urllib.parse import urlencode


class ProbeInterval(TypedDict):
    at_once: int
    pause: float


BUSY: ProbeInterval = {"at_once": 5, "pause": 0.0015}
"""Some 2,000 writes a second."""
AT_ONCE: ProbeInterval = {"at_once": 2000, "pause": 0.0}
"""Some 20,000 a second: for a moment, as no watcher keeps up with that."""


class Write(NamedTuple):
    """One request: `form` goes into the body of a PUT or POST, else into the query."""

    method: str
    key: str
    form: dict[str, str]

    def encode(self) -> bytes:
        body = urlencode(self.form) if self.method != "DELETE" else ""
        query = f"?{urlencode(self.form)}" if self.method == "DELETE" and self.form else ""
        kind = "Content-Type: application/x-www-form-urlencoded\r\n"
        length = f"Content-Length: {len(body)}\r\n"
        return f"{self.method} /v2/keys{self.key}{query} HTTP/1.1\r\nHost: e\r\n{kind}{length}\r\n{body}".encode()


class Done(NamedTuple):
    """What came of it."""

    index: int
    action: str
    key: str
    value: str | None


def put(key: str, value: str, **form: str) -> Write:
    return Write("PUT", key, {"value": value, **form})


def delete(key: str, **form: str) -> Write:
    return Write("DELETE", key, form)


def write_all(port: int, writes: Iterable[Write], *, at_once: int = 20, pause: float = 0.0) -> list[Done]:
    """Carried out one after the other; `at_once` are sent before their answers are read, then `pause` seconds.

    Those that were refused (a failed comparison, say) are left out of the result.
    """
    done: list[Done] = []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, sock.makefile("rb") as answers:
        for batch in _batches(iter(writes), at_once):
            sock.sendall(b"".join(write.encode() for write in batch))
            for write in batch:
                done += _read_one(answers, write)
            if pause:
                time.sleep(pause)
    return done


class Writing:
    """`write_all` in a thread of its own; `done` waits for its end."""

    def __init__(self, port: int, writes: Iterable[Write], *, at_once: int = 20, pause: float = 0.0) -> None:
        self._done: list[Done] = []

        def run() -> None:
            self._done = write_all(port, writes, at_once=at_once, pause=pause)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def done(self) -> list[Done]:
        self._thread.join()
        return self._done


def _batches(writes: Iterator[Write], size: int) -> Iterator[list[Write]]:
    while batch := [write for _, write in zip(range(size), writes, strict=False)]:
        yield batch


def _read_one(answers: BinaryIO, write: Write) -> list[Done]:
    status, length = int(answers.readline().split()[1]), -1
    while line := answers.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = json.loads(answers.read(length) if length >= 0 else _read_chunks(answers))
    if status >= 500:
        raise AssertionError(f"{write.method} {write.key}: {body}")
    if status >= 400:
        return []
    node = body["node"]
    told = None if "elete" in body["action"] else node.get("value")
    return [Done(node["modifiedIndex"], body["action"], node["key"], told)]


def _read_chunks(answers: BinaryIO) -> bytes:
    body = b""
    while size := int(answers.readline(), 16):
        body += answers.read(size)
        answers.readline()
    answers.readline()
    return body
