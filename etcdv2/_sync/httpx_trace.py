# Derived from etcdv2/_async/httpx_trace.py by scripts/unasync.py: change that file, make generate.
"""How far a request over httpx has come, as httpcore reports it.

Owns the proofs of what was not sent over httpx, and has what is given up taken back from the
kernel; knows no exception of httpx.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etcdv2._core.wire import Phase, Sent
from etcdv2._sync.httpx_socket import shown_socket
from etcdv2._transport.sockets import reset_on_close


class HttpxTrace:
    """How far httpcore's trace says a request has come, and what is proved by that.

    Only `started` counts for what was sent: it comes before the bytes are handed over, without a
    suspension between, while `complete` does not come to a task that is cancelled when the bytes
    are out already, nor after an exception of a signal handler.
    """

    def __init__(self, *, traced: bool, asked_later: bool, body: bool) -> None:
        """`traced`: the transport is known to call `trace`, so nothing was sent before the first call.

        `asked_later`: the server may ask for a certificate after it has read a request.
        `body`: whether the request has one; the headers alone are then a part of it.
        """
        self._traced = traced
        self.asked_later = asked_later
        self._body = body
        self._begun: Sent | None = None
        """What has been handed over at most, once anything was."""
        self._connected: Any = None
        """The connection that was made last, TLS or not."""
        self.fresh = False
        self.phase: Phase = "pool" if traced else "connect"

    def __repr__(self) -> str:
        return f"<trace of httpx: {self.phase}, at most {self._begun or Sent.NOTHING} was sent>"

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore, before and after each of its steps."""
        # A tunnel asked of a proxy; the request itself goes later, and is traced then.
        request = info.get("request")
        if request is not None and request.method == b"CONNECT":
            self.phase = "connect"
            return

        # Calls come for all connections of this request, if for one: what has not started was not sent.
        self._traced = True
        self.fresh = self.fresh or name.startswith("connection.connect")
        if self.phase == "pool":
            self.phase = "connect"

        if name.endswith("connect_tcp.complete"):
            self._connected = info["return_value"]
            sock = shown_socket(self._connected)
            if sock is not None:
                reset_on_close(sock)
        elif name.endswith("start_tls.failed") and self._connected is not None:
            self._connected.close()  # httpcore 1.0.9 leaves it open when the task is cancelled
        elif name.endswith("send_request_headers.started"):
            # They are the whole of a request without a body. The end of a body is handed over later.
            self._handed_over(Sent.PART if self._body else Sent.WHOLE)
        elif name.endswith("send_request_body.started"):
            self._handed_over(Sent.WHOLE)
        elif name.endswith(("send_request_body.complete", "receive_response_headers.started")):
            self.phase = "wait"  # also where sending broke off: httpcore then looks for what the server has said
        elif name.endswith("receive_response_body.started"):
            self.phase = "read"

    def _handed_over(self, sent: Sent) -> None:
        self.phase = "send"
        # Never less again: a transport may send the same request a second time.
        if self._begun is not Sent.WHOLE:
            self._begun = sent

    @property
    def sent(self) -> Sent:
        """How much may have been sent: WHOLE, unless the trace proves less."""
        if not self._traced:
            return Sent.WHOLE
        return self._begun or Sent.NOTHING
