"""How a transport says what went wrong: one TransportFailure from whatever ended an attempt.

Owns the wording; decides nothing about retries.
"""

from __future__ import annotations

import ssl

from etcdv2._core.wire import Phase, Sent, TransportFailure
from etcdv2._runtime.handlers import of_handler

_DOING: dict[Phase, str] = {
    "pool": "waiting for a free connection",
    "connect": "connecting",
    "send": "sending the request",
    "wait": "waiting for the answer",
    "read": "reading the answer",
}

_REFUSALS = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
    "ALERT_DECRYPT_ERROR",
    "ALERT_CERTIFICATE_REQUIRED",
)
"""How the reasons of OpenSSL end; what they begin with depends on its version."""


_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
"""OpenSSL's reasons, by version, where what came is no TLS."""


class LimitReached(TimeoutError):
    """A limit of ours, unlike the kernel's ETIMEDOUT."""

    def __init__(self, reason: str = "the time limit was reached") -> None:
        super().__init__(reason)


class Aborted(Exception):
    """`abort()` or `close()` was called."""


def failure(error: BaseException, phase: Phase, sent: Sent) -> TransportFailure:
    """To be raised `from error`. Raises instead what a signal handler has raised."""
    foreign = of_handler(error)
    if foreign is not None:
        try:
            raise foreign
        finally:
            del error, foreign  # in a circle with its traceback it would keep the connection of the call
    if isinstance(error, Aborted):
        return TransportFailure(f"aborted while {_DOING[phase]}", phase, sent, aborted=True)
    if isinstance(error, LimitReached):
        return TransportFailure(f"timed out while {_DOING[phase]}", phase, sent, timed_out=True)
    shown = (handshake_text(error) if phase == "connect" else None) or _text(error)
    return TransportFailure(f"{_DOING[phase]}: {shown}", phase, sent)


def refusal(error: BaseException | None) -> TransportFailure | None:
    """For the first read of a TLS connection: the server's word that it does not accept the
    client's certificate.

    Under TLS 1.3 that comes after the client's handshake has ended and the request was sent. Proof
    that the server has not read it: such an alert is part of its handshake, in which it looks at
    the certificate before it takes data. Only where it may ask for one later
    (`post_handshake_auth`; etcd never does) it can have read a request: do not ask there.
    """
    text = _refusal_text(error)
    return None if text is None else TransportFailure(f"{_DOING['connect']}: {text}", "connect", Sent.NOTHING)


def handshake_text(error: BaseException) -> str | None:
    """What a failed TLS handshake means, in the same words over every transport; None for other failures."""
    refused = _refusal_text(error)
    if refused is not None:
        return refused

    # 1. What came is no TLS: the answer of a plain server, as it has read no request.
    reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
    if reason in _NO_TLS:
        return f"the server does not speak TLS ({reason}): is it http?"

    # 2. Nothing came: etcd's plain port closes. asyncio has a ConnectionError without words for that.
    wordless = isinstance(error, (ConnectionError, EOFError)) and not str(error)
    wordless = wordless or isinstance(error, ConnectionResetError)
    if reason == "UNEXPECTED_EOF_WHILE_READING" or isinstance(error, ssl.SSLEOFError) or wordless:
        return "the server ended the TLS handshake: is it http?"
    return None


def _refusal_text(error: BaseException | None) -> str | None:
    reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
    if not reason.endswith(_REFUSALS):
        return None
    return f"the server refused the client's certificate, or wants one: {reason}"


def before_request(error: TransportFailure) -> TransportFailure:
    """A failure of what had to be done first, seen from the request that was not sent."""
    return TransportFailure(
        f"before a long request: {error}", "connect", Sent.NOTHING, timed_out=error.timed_out, aborted=error.aborted
    )


def _text(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate was not accepted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (ConnectionError, EOFError)) and not str(error):
        return "closed by the server"
    return str(error) or type(error).__name__
