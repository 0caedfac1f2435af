# Derived from etcdv2/_async/transports.py by scripts/unasync.py: change that file, make generate.
"""What a client sends through: the built-in transport, or httpx for its own or for a proxy.

Owns that choice, the making of either, and the refusal of settings that contradict it.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from types import NoneType
from typing import TYPE_CHECKING, Literal

from etcdv2._core.endpoints import Endpoint, has_proxy
from etcdv2._core.wire import Transport
from etcdv2._transport.threads import FastTransport
from etcdv2._types.tls import TLS

if TYPE_CHECKING:
    import httpx


def check_transport_types(tls: object, transport: object) -> None:
    """Raises TypeError."""
    if not isinstance(tls, (TLS, ssl.SSLContext, NoneType)):
        raise TypeError(f"tls: a {type(tls).__name__}; must be an etcdv2.TLS or an ssl.SSLContext")
    if isinstance(transport, str) and transport != "httpx":
        raise TypeError(f'transport {transport!r}: must be an httpx transport, or "httpx"')


def tls_settings(endpoints: Sequence[Endpoint], tls: TLS | ssl.SSLContext | None) -> TLS | None:
    """Those of the https endpoints; None where there is none.

    Raises ValueError when `tls` is given for nothing.
    """
    if not any(endpoint.tls for endpoint in endpoints):
        if tls is not None:
            raise ValueError("tls= is given, but every endpoint is http://; write https:// or leave tls= out")
        return None
    return TLS(context=tls) if isinstance(tls, ssl.SSLContext) else tls or TLS()


def transport_for(
    endpoints: Sequence[Endpoint],
    tls: TLS | None,
    transport: httpx.BaseTransport | Literal["httpx"] | None,
    *,
    tls_given: bool,
    proxy: str | None,
    trust_env: bool,
    max_connections: int,
) -> Transport:
    """The transport; reads the PEM files. Raises ValueError for what contradicts itself.

    `transport`: an httpx transport, "httpx" for its standard one, None for the built-in one.
    """
    # 1. One that is given is used as it is.
    given = None if transport == "httpx" else transport
    if given is not None and (tls_given or proxy is not None):
        raise ValueError("transport= has its own TLS and proxy settings; give them to it, not to the client")
    if max_connections < 1:
        raise ValueError(f"max_connections {max_connections!r}: must be at least 1")
    context = tls.build() if tls is not None and given is None else None
    server_hostname = None if tls is None else tls.server_hostname

    # 2. The built-in one, unless httpx is wanted, or a proxy, which only httpx can go through.
    through_proxy = proxy is not None or (trust_env and any(map(has_proxy, endpoints)))
    if transport is None and not through_proxy:
        return FastTransport(ssl_context=context, server_hostname=server_hostname, max_connections=max_connections)

    # 3. httpx. Imported when it is used: with what it needs it takes longer than all the rest.
    from etcdv2._sync.httpx_transport import HttpxTransport

    return HttpxTransport(
        ssl_context=context,
        server_hostname=server_hostname,
        max_connections=max_connections,
        transport=given,
        proxy=proxy,
        trust_env=trust_env,
    )
