"""Which proxy an endpoint is reached through: the one that was given, or that of the environment.

Owns the reading of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not, by the rules of Go's clients:
an endpoint on this machine's loopback goes through no proxy of the environment. Opens nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from etcdv2._core.endpoints import Endpoint

_NAMES = ("http_proxy", "https_proxy", "all_proxy")
SCHEMES = ("http", "https", "socks5", "socks5h")


class Proxy(NamedTuple):
    """A proxy, and which setting names it."""

    url: str
    source: str
    """`proxy=`, or the name of a variable."""

    def __str__(self) -> str:
        """Without its credentials."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}".rstrip("/")

    def __repr__(self) -> str:
        return f"<Proxy {self} of {self.source}>"


class Proxies:
    """The proxies of one client, as they are set when it is made."""

    def __init__(self, given: str | None, environ: Mapping[str, str] | None) -> None:
        """`environ`: None when the environment does not count.

        Raises ValueError and TypeError for a given proxy that cannot be one.
        """
        self._given = None if given is None else proxy_of(given, "proxy=")
        self._environ = {} if environ is None or given is not None else _variables(environ)
        no_proxy = self._environ.get("no_proxy", ("", ""))[1]
        self._direct = [entry for part in no_proxy.split(",") if (entry := part.strip().lower())]
        self._system = sys.platform in ("darwin", "win32") and environ is os.environ and not self._environ

    def __repr__(self) -> str:
        return f"<Proxies: {self._given or ', '.join(sorted(self._environ)) or 'none'}>"

    def __bool__(self) -> bool:
        """Whether there may be one for some endpoint."""
        return self._given is not None or self._system or any(self._environ.get(name, ("", ""))[1] for name in _NAMES)

    def proxy_for(self, endpoint: Endpoint) -> Proxy | None:
        """Raises ValueError that names the variable, for one that cannot be a proxy."""
        if self._given is not None or self._is_local(endpoint):
            return self._given
        if self._system:
            return _system_proxy(endpoint)

        for scheme in (endpoint.scheme, "all"):
            source, value = self._environ.get(f"{scheme}_proxy", ("", ""))
            if value:
                return None if self._is_direct(endpoint) else proxy_of(value, source)
        return None

    def _is_local(self, endpoint: Endpoint) -> bool:
        address = _address(endpoint.tls_name)
        return endpoint.tls_name == "localhost" or (address is not None and address.is_loopback)

    def _is_direct(self, endpoint: Endpoint) -> bool:
        return any(_covers(entry, endpoint) for entry in self._direct)


def proxy_of(written: object, source: str) -> Proxy:
    """Raises ValueError and TypeError. What is no URL has none of its text shown: it may hold a password."""
    if not isinstance(written, str):
        raise TypeError(f"{source}: a {type(written).__name__}; must be a str like 'http://10.0.0.1:3128'")

    url = written.strip()
    url = url if "://" in url else f"http://{url}"
    example = "write it like 'http://10.0.0.1:3128'"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{source}: is no URL of a proxy; {example}") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"{source}: the scheme of a proxy must be one of {', '.join(SCHEMES)}; {example}")
    if not host or port == 0 or any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError(f"{source}: has no usable host or port; {example}")
    return Proxy(url, source)


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Lower-case name to the name as written and the value; of both spellings the lower-case one counts."""
    found = {name.lower(): (name, value) for name, value in environ.items() if name.lower().endswith("_proxy")}
    found |= {name: (name, value) for name, value in environ.items() if name.endswith("_proxy")}

    # In a CGI program HTTP_PROXY is a header of the request that it serves, `Proxy:`.
    if "REQUEST_METHOD" in environ and found.get("http_proxy", ("",))[0] == "HTTP_PROXY":
        del found["http_proxy"]
    return found


def _system_proxy(endpoint: Endpoint) -> Proxy | None:
    """What macOS and Windows have in their settings."""
    from urllib.request import getproxies, proxy_bypass  # it brings http.client, email and more

    proxies = getproxies()
    value = proxies.get(endpoint.scheme) or proxies.get("all")
    if not value or proxy_bypass(endpoint.authority):
        return None
    return proxy_of(value, "the system's proxy")


def _covers(entry: str, endpoint: Endpoint) -> bool:
    """Whether an entry of NO_PROXY is for this endpoint.

    `*`; a name and all below it; `.name` or `*.name` for those below only; an address, a network
    like `10.0.0.0/8`; each with or without a port, a URL's scheme before it. What is none of these is for nobody.
    """
    if entry == "*":
        return True

    # 1. The parts of an entry that say which endpoints of a host.
    scheme, found, rest = entry.rpartition("://")
    if found and scheme not in (endpoint.scheme, "all"):
        return False
    host, port = _with_port(rest.rstrip("/") if found else rest)
    if port not in ("", str(endpoint.port)):
        return False

    # 2. Addresses.
    wanted = endpoint.tls_name.lower()
    address = _address(wanted)
    if address is not None:
        try:
            return address in ip_network(host, strict=False)
        except ValueError:
            return False

    # 3. Names.
    host = host.removesuffix(".")
    if host.startswith(("*.", ".")):
        return wanted.endswith(host.removeprefix("*")) and len(host) > 1
    return bool(host) and (wanted == host or wanted.endswith(f".{host}"))


def _with_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, colon, port = text.rpartition(":")
    return (host, port) if colon and ":" not in host and port.isdigit() else (text, "")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
