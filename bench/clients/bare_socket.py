"""The limit of what Python can do: a blocking socket, requests made beforehand, the least parsing that keeps it going.

Also how the comparing program itself talks to the server: loading keys, writing events, the index.
"""

from __future__ import annotations

import json
import platform
import socket
import ssl
from typing import Any
from urllib.parse import quote

from . import measure
from .measure import Figures, Order


class Wire:
    """One keep-alive connection. Understands bodies with a content-length or in chunks, and nothing else."""

    def __init__(self, host: str, port: int, ca: str = "") -> None:
        plain = socket.create_connection((host, port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cafile=ca) if ca else None
        self._socket = plain if context is None else context.wrap_socket(plain, server_hostname=host)
        self._host = f"Host: {host}:{port}\r\n"

    def close(self) -> None:
        self._socket.close()

    def get(self, path: str) -> bytes:
        """The bytes of a request."""
        return f"GET {path} HTTP/1.1\r\n{self._host}\r\n".encode()

    def put(self, key: str, value: str) -> bytes:
        """The bytes of a request."""
        body = f"value={quote(value)}"
        head = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        return f"PUT /v2/keys{key} HTTP/1.1\r\n{self._host}{head}\r\n{body}".encode()

    def exchange(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer. Raises OSError, ValueError for a status that is not 2xx."""
        self._socket.sendall(request)
        data = self._socket.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head, body = data[:end], data[end + 4 :]
        if head[9:10] != b"2":
            raise ValueError(head.decode("latin-1"))
        start = head.find(b"Content-Length: ")
        if start < 0:
            return head, self._chunks(body)
        length = int(head[start + 16 :].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        return head, body

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def _chunks(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        buffer = bytearray(data)
        while True:
            while (end := buffer.find(b"\r\n")) < 0:
                buffer += self._more()
            size = int(buffer[:end], 16)
            while len(buffer) < end + 2 + size + 2:
                buffer += self._more()
            parts.append(bytes(buffer[end + 2 : end + 2 + size]))
            del buffer[: end + 2 + size + 2]
            if size == 0:
                return b"".join(parts)


def index_of(head: bytes) -> int:
    """X-Etcd-Index."""
    return int(head.partition(b"X-Etcd-Index: ")[2].partition(b"\r\n")[0])


class Driver:
    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._tree = b""

    def measure(self, order: Order, said: dict[str, Any]) -> Figures:
        del said
        if self._wire is None:
            self._wire = Wire(order.host, order.port, order.ca)
        wire = self._wire

        # Requests are made beforehand: the limit is what a call needs, not what Python takes to write one.
        match order.case:
            case "get" | "tls":
                request = wire.get(f"/v2/keys{order.key}")
                return measure.repeat(lambda: wire.exchange(request), order)
            case "set":
                request = wire.put(order.key, order.value)
                return measure.repeat(lambda: wire.exchange(request), order)
            case "tree":
                # The limit is json.loads of the same bytes, without reading them and without a walk.
                self._tree = self._tree or wire.exchange(wire.get(f"/v2/keys{order.key}?recursive=true"))[1]
                return measure.repeat(lambda: json.loads(self._tree), order)
            case _:
                raise ValueError(order.case)


if __name__ == "__main__":
    measure.serve(Driver().measure, {"python": platform.python_version()})
