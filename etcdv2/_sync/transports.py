# Derived from etcdv2/_async/transports.py by scripts/unasync.py: change that file, make generate.
"""What a client sends through: the built-in transport, or httpx for its own or for a proxy.

Owns that choice, the making of either, and the refusal of settings that contradict it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import replace
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from etcdv2._core.endpoints import Endpoint, tls_name
from etcdv2._core.proxies import Proxies, Proxy
from etcdv2._core.wire import Transport
from etcdv2._sync.by_proxy import ByProxy
from etcdv2._transport.threads import FastTransport
from etcdv2._types.srv import Srv
from etcdv2._types.tls import TLS

if TYPE_CHECKING:
    pass


class HttpTransport(Protocol):
    """A transport of httpx or of httpx2, which are alike in this."""

    def handle_request(self, request: Any, /) -> Any: ...

    def close(self) -> None: ...


def check_transport_settings(tls: object, transport: object, max_connections: object) -> None:
    """Raises TypeError and ValueError."""
    if not isinstance(tls, (TLS, ssl.SSLContext, NoneType)):
        raise TypeError(f"tls: a {type(tls).__name__}; must be an etcdv2.TLS or an ssl.SSLContext")
    if isinstance(transport, str) and transport != "httpx":
        raise TypeError(f'transport {transport!r}: must be an httpx transport, or "httpx"')
    if not isinstance(transport, (str, NoneType)) and not hasattr(transport, "handle_request"):
        kind = type(transport).__name__
        raise TypeError(f'transport: a {kind}; must be one of httpx or httpx2 for this kind of client, or "httpx"')
    if isinstance(max_connections, bool) or not isinstance(max_connections, int):
        raise TypeError(f"max_connections {max_connections!r}: must be an int")
    if max_connections < 1:
        raise ValueError(f"max_connections {max_connections!r}: must be at least 1")


def tls_settings(endpoints: Sequence[Endpoint], tls: TLS | ssl.SSLContext | None) -> TLS | None:
    """Those of the https endpoints; None where there is none.

    Raises ValueError when `tls` is given for nothing.
    """
    if not any(endpoint.tls for endpoint in endpoints):
        if tls is not None:
            raise ValueError("tls= is given, but every endpoint is http://; write https:// or leave tls= out")
        return None
    return TLS(context=tls) if isinstance(tls, ssl.SSLContext) else tls or TLS()


def srv_tls(source: Srv, tls: TLS | ssl.SSLContext | None) -> TLS:
    """Those of endpoints that are not known yet."""
    made = TLS(context=tls) if isinstance(tls, ssl.SSLContext) else tls or TLS()
    if source.verify_domain and made.server_hostname is None:
        return replace(made, server_hostname=tls_name(source.domain))
    return made


def transport_for(
    endpoints: Sequence[Endpoint],
    tls: TLS | None,
    transport: HttpTransport | Literal["httpx"] | None,
    *,
    tls_given: bool,
    proxy: str | None,
    trust_env: bool,
    max_connections: int,
) -> Transport:
    """The transport; reads the PEM files. Raises ValueError for what contradicts itself.

    `transport`: one of httpx or httpx2, "httpx" for the standard one, None for the built-in one.
    """
    # 1. One that is given is used as it is.
    given = None if transport == "httpx" else transport
    if given is not None and (tls_given or proxy is not None):
        raise ValueError("transport= has its own TLS and proxy settings; give them to it, not to the client")
    context = tls.build() if tls is not None and given is None else None
    server_hostname = None if tls is None or tls.server_hostname is None else tls_name(tls.server_hostname)

    # 2. The built-in one, unless httpx is wanted, or a proxy, which only httpx can go through.
    # httpx is imported when it is used: with what it needs it takes longer than all the rest.
    def make(through: Proxy | None) -> Transport:
        if transport is None and through is None:
            return FastTransport(ssl_context=context, server_hostname=server_hostname, max_connections=max_connections)

        from etcdv2._sync.httpx2_bridge import Httpx2Bridge, is_of_httpx2
        from etcdv2._sync.httpx_transport import HttpxTransport

        used: Any = given
        return HttpxTransport(
            ssl_context=context,
            server_hostname=server_hostname,
            max_connections=max_connections,
            transport=Httpx2Bridge(used) if is_of_httpx2(used) else used,
            proxy=through,
        )

    # 3. Endpoint by endpoint, where there are proxies.
    proxies = Proxies(proxy, os.environ if trust_env and given is None else None)
    return ByProxy(proxies, endpoints, make) if proxies else make(None)
