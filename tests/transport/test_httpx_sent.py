"""What the httpx transport claims to have sent of a request that was given up meanwhile, against what has arrived."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from anyio._backends import _asyncio as backend  # httpcore's way to the socket on asyncio

from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._core.deadline import Deadline
from etcdv2._core.wire import Limits, Request, Sent, TransportFailure
from tests.tools.fault_server import FaultServer, echo

HEADERS = (("User-Agent", "tests"),)
FORM = "application/x-www-form-urlencoded"
REQUESTS = [
    Request("PUT", "/v2/keys/a", HEADERS, FORM, b"value=1"),
    Request("POST", "/v2/keys/queue", HEADERS, FORM, b"value=1"),
    Request("PUT", "/v2/keys/a?prevExist=true", HEADERS, FORM, b""),
    Request("DELETE", "/v2/keys/a", HEADERS),
]


@pytest.mark.parametrize("part", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: f"{one.method}-{len(one.body)}")
async def test_request_that_has_arrived_whole_is_never_claimed_to_be_less(
    monkeypatch: pytest.MonkeyPatch, request_: Request, when: str, part: int
) -> None:
    """The task sleeps before or after the n-th part is handed to the socket, and its time is over meanwhile."""
    real = backend.SocketStream.send
    parts = 0

    async def slow(self: Any, item: bytes) -> None:
        nonlocal parts
        parts += 1
        if parts == part and when == "before":
            await asyncio.sleep(60)
        await real(self, item)
        if parts == part and when == "after":
            await asyncio.sleep(60)

    monkeypatch.setattr(backend.SocketStream, "send", slow)
    transport = AsyncHttpxTransport()
    try:
        with FaultServer(default=echo()) as server:
            try:
                await transport.send(server.endpoint, request_, Limits(2, 0.3, Deadline(time.monotonic() + 0.3)))
            except TransportFailure as failure:
                claimed = failure.sent
            else:
                claimed = Sent.WHOLE

            arrived = len(server.requests)
    finally:
        await transport.close()
    assert claimed is Sent.WHOLE or not arrived
    # The claim is worth something: of a request with a body that stops within its headers, less than all was sent.
    if request_.body and part == 1:
        assert claimed is Sent.PART
