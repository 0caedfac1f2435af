"""What an exception of httpx means: how far the request had come, and words for whoever reads it.

Owns nothing that lasts.
"""

from __future__ import annotations

import httpx

from etcdv2._async.httpx_trace import AsyncHttpxTrace
from etcdv2._core.wire import Phase, TransportFailure
from etcdv2._runtime.handlers import of_handler
from etcdv2._transport.failures import handshake_text, refusal
from etcdv2._transport.http1 import NO_ANSWER, OR_HTTPS

_CONNECTING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


def async_httpx_failure(trace: AsyncHttpxTrace, error: Exception, *, tls: bool) -> TransportFailure:
    """What an exception of httpx, or the end of the time, means.

    Raises instead what a signal handler has raised.
    """
    foreign = of_handler(error)
    if foreign is not None:
        raise foreign
    root = _root(error)
    if trace.fresh and trace.phase == "wait" and not trace.asked_later:
        refused = refusal(root)
        if refused is not None:
            return refused

    phase = _phase(trace, error)
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return TransportFailure("timed out", phase, trace.sent, timed_out=True)
    reason = str(root) or type(root).__name__
    if phase == "connect" and tls:
        reason = handshake_text(root) or reason
    if isinstance(error, httpx.RemoteProtocolError):
        reason = _protocol_text(reason, phase, may_be_https=trace.fresh and not tls)
    return TransportFailure(reason, phase, trace.sent)


def _phase(trace: AsyncHttpxTrace, error: Exception) -> Phase:
    if isinstance(error, httpx.PoolTimeout):
        return "pool"
    return "connect" if isinstance(error, _CONNECTING) else trace.phase


def _protocol_text(reason: str, phase: Phase, *, may_be_https: bool) -> str:
    """What an answer that is no HTTP/1.1, or none at all, may mean."""
    if reason.startswith("illegal"):
        return f"not HTTP/1.1 ({reason}): is it a TLS port, or one for gRPC only (--listen-client-http-urls)?"
    if phase == "wait" and "disconnected" in reason:
        return OR_HTTPS if may_be_https else NO_ANSWER
    return reason


def _root(error: BaseException) -> BaseException:
    """What the operating system or TLS said, below the exceptions that httpx, httpcore and anyio
    put around it.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error
    parts: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    inner = parts[0] if parts else error.__cause__ or error.__context__
    found = error if inner is None else _root(inner)
    return found if str(found) else error
