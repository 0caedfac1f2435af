"""A plain client of each member, beside the library's: when it had no answer in time, none was to be had.

Owns what a busy machine, an election of its own and the like excuse: an unknown or refused call without a fault.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Sequence
from typing import Self
from urllib.parse import urlsplit

from tests.chaos.schedule import Window

EACH_SECONDS = 0.2
SLOW_SECONDS = 0.25
"""An answer that takes so long is no longer what calls of 0.7 s may count on: they need two or three."""
GIVEN_UP = 10.0


class PlainClients:
    """For each member a thread that makes quorum reads, one after the other; `slow` says when they took too long."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._ended = threading.Event()
        self.slow: list[Window] = []
        self._threads = [threading.Thread(target=self._run, args=(url,), daemon=True) for url in urls]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, url: str) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._ended.wait(EACH_SECONDS):
            began, answered = time.monotonic(), False
            connection = connection or http.client.HTTPConnection(urlsplit(url).netloc, timeout=GIVEN_UP)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/v2/keys/?quorum=true")
                answer = connection.getresponse()
                answer.read()
                answered = answer.status == http.client.OK
            if not answered:
                connection.close()
                connection = None
            ended = time.monotonic()
            if not answered or ended - began > SLOW_SECONDS:
                self.slow.append(Window(began, ended, f"a plain client of {url} had to wait"))
        if connection is not None:
            connection.close()
