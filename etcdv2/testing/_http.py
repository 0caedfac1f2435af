"""The few plain requests that a server's start and cleaning take: no retries, no models."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Door(NamedTuple):
    """How to talk to one server: its URL, and what TLS and authentication need."""

    url: str
    context: ssl.SSLContext | None = None
    auth: tuple[str, str] | None = None


def ask(door: Door, path: str, method: str = "GET", body: object = None, *, timeout: float = 5) -> tuple[int, Any]:
    """Status and answer (JSON, else text). Raises OSError or http.client.HTTPException."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if door.auth is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(door.auth).encode()).decode()

    address = urlsplit(door.url).netloc
    connection = (
        http.client.HTTPConnection(address, timeout=timeout)
        if door.context is None
        else http.client.HTTPSConnection(address, timeout=timeout, context=door.context)
    )
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    finally:
        connection.close()

    # etcd's router answers in plain text.
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text
