# Derived from etcdv2/_async/httpx2_bridge.py by scripts/unasync.py: change that file, make generate.
"""A transport of httpx2, the successor of httpx, behind the face of one of httpx.

Owns how requests, answers and errors of the one become those of the other; all else is as with any
transport that is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx


def is_of_httpx2(transport: object) -> bool:
    """Without importing it: whoever made one has."""
    return any(base.__module__.partition(".")[0] == "httpx2" for base in type(transport).__mro__)


class Httpx2Bridge(httpx.BaseTransport):
    """What it is given it hands on, and what comes back, too."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._transport!r}>"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        import httpx2

        # The bytes of the request line stay as they are: a URL that is read again may be written in another way.
        parts, path = request.url, request.url.raw_path
        url = httpx2.URL(scheme=parts.scheme, host=parts.host, port=parts.port, raw_path=path)
        given = httpx2.Request(
            request.method, url, headers=request.headers.raw, content=request.content, extensions=request.extensions
        )
        try:
            response = self._transport.handle_request(given)
        except Exception as error:
            raise as_of_httpx(error, request) from error

        stream = BridgedStream(response.stream, request)
        return httpx.Response(
            response.status_code, headers=response.headers.raw, stream=stream, extensions=response.extensions
        )

    def close(self) -> None:
        self._transport.close()


class BridgedStream(httpx.SyncByteStream):
    """The body of an answer."""

    def __init__(self, stream: Any, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._stream:
                yield part
        except Exception as error:
            raise as_of_httpx(error, self._request) from error

    def close(self) -> None:
        try:
            self._stream.close()
        except Exception as error:
            raise as_of_httpx(error, self._request) from error


def as_of_httpx(error: Exception, request: httpx.Request) -> Exception:
    """The error of httpx that has the name of this one, or of the nearest of its bases; others as they are."""
    if not is_of_httpx2(error):
        return error
    for base in type(error).__mro__:
        kind = getattr(httpx, base.__name__, None)
        if isinstance(kind, type) and issubclass(kind, httpx.RequestError):
            return kind(str(error), request=request)
    return httpx.TransportError(str(error), request=request)
