"""What an endpoint is: reading what a person wrote into scheme, host, port and path prefix.

Owns parsing and refusal; knows nothing of whether an endpoint answers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORT = 2379
URL_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")


class Endpoint(NamedTuple):
    """One member's client URL, taken apart. Equal URLs are equal endpoints."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name or address, IPv6 without brackets."""
    port: int
    prefix: str = ""
    """A path before `/v2`, without trailing slash: for a cluster behind a reverse proxy."""

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """`host:port` as the Host header has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"

    def __str__(self) -> str:
        return self.url


def parse_endpoint(text: str, *, tls: bool = False) -> Endpoint:
    """Read a URL, `host`, `host:port` or a bare IPv6 address.

    Without a scheme it is https when `tls`, else http, and the port is 2379 unless given. A URL
    without port means 80 or 443, as everywhere. Raises ValueError (also for credentials, query,
    fragment) with what to write instead.
    """
    # 1. What can be no endpoint however it is read. Credentials are refused first: no later text may show them.
    written = _checked(text)

    # 2. A URL in any case.
    bare = "://" not in written
    if bare:
        written = _with_scheme(written, tls=tls)

    # 3. Its parts, each of which may be refused.
    try:
        parts = urlsplit(written)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise ValueError(f"endpoint {text!r}: {error}") from error
    reason = _refusal(parts, written)
    if reason is not None or host is None:
        raise ValueError(f"endpoint {text!r}: {reason}")

    # 4. What was left out.
    if port is None:
        port = DEFAULT_PORT if bare else URL_PORTS[parts.scheme]
    return Endpoint(parts.scheme, _ascii(host, text), port, parts.path.rstrip("/"))


def parse_endpoints(given: str | Iterable[str], *, tls: bool = False) -> tuple[Endpoint, ...]:
    """Every endpoint once, in the order given; a lone string is one endpoint."""
    texts = [given] if isinstance(given, str) else list(given)
    found = tuple(dict.fromkeys(parse_endpoint(text, tls=tls) for text in texts))
    if not found:
        raise ValueError("endpoints: the list is empty; give at least one, like 'http://127.0.0.1:2379'")
    return found


def parse_advertised(url: str) -> Endpoint | None:
    """A client URL that a member advertises; None for what cannot be connected to, such as unix sockets."""
    try:
        return parse_endpoint(url)
    except ValueError:
        return None


def has_proxy(endpoint: Endpoint) -> bool:
    """Whether the environment names a proxy for it: HTTP_PROXY, ALL_PROXY, NO_PROXY and so on."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return False

    # Imported when it is needed: it brings http.client, email and more.
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    wanted = endpoint.scheme in proxies or "all" in proxies
    return wanted and not proxy_bypass(endpoint.authority)


def _checked(text: str) -> str:
    """The text without white space around it. Raises TypeError or ValueError for what is no URL."""
    if not isinstance(text, str):
        raise TypeError(f"endpoint {text!r}: must be a str like 'http://10.0.0.1:2379'")

    written = text.strip()
    if not written:
        raise ValueError("endpoint '': is empty; write it like 'http://10.0.0.1:2379'")
    if "@" in written:
        shown = written.rpartition("@")[2]
        raise ValueError(f"endpoint '...@{shown}': put credentials into username= and password=, not into the URL")
    if any(c.isspace() or ord(c) < 32 for c in written):
        raise ValueError(f"endpoint {text!r}: contains white space or control characters")
    return written


def _with_scheme(written: str, *, tls: bool) -> str:
    # More than one colon: a bare IPv6 address, which a URL has in brackets.
    if written.count(":") > 1 and not written.startswith("["):
        written = f"[{written}]"
    return f"{'https' if tls else 'http'}://{written}"


def _refusal(parts: SplitResult, written: str) -> str | None:
    """Why these are not the parts of an endpoint; None when they are."""
    if parts.scheme not in URL_PORTS:
        return "the scheme must be http or https"
    if not _PATH.fullmatch(parts.path):
        return "percent-encode the path, and leave '.' and '..' out of it"
    if "?" in written or "#" in written:  # also with nothing behind
        return "must have no query and no fragment"
    if not parts.hostname:
        return "has no host"
    if parts.port == 0:
        return "port 0 cannot be connected to"
    if parts.hostname.isascii() and not _HOST.fullmatch(parts.hostname):
        return f"{parts.hostname!r} is neither a host name nor an address"
    return None


def _ascii(host: str, text: str) -> str:
    """The host name as DNS has it."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"endpoint {text!r}: the host name cannot be encoded: {error}") from error
