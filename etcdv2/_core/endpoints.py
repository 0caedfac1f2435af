"""What an endpoint is: reading what a person wrote into scheme, host, port and path prefix.

Owns parsing and refusal; knows nothing of whether an endpoint answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_PORT = 2379
LIST = "['http://10.0.0.1:2379', 'http://10.0.0.2:2379']"
URL_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,254}$)([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")
_SEVERAL = re.compile(r"([a-z]+://)?[^/?#]*,|[a-z]+://.*://", re.IGNORECASE)
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
_API = re.compile(r"/v2(/(keys|members|stats|auth|machines|admin|leader)(/.*)?)?/?$|^/v3(alpha|beta)?(/.*)?$")
"""What a path ends with that was copied from a request, of the v2 API or of the v3 API."""
_ALONE = ("/version", "/health", "/metrics", "/members", "/debug/vars")
"""What etcd serves beside its APIs. As the end of a path it may be somebody's prefix."""


class Endpoint(NamedTuple):
    """One member's client URL, taken apart. Equal URLs are equal endpoints."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name or address, IPv6 without brackets: what is looked up.

    A name may end in a dot, so that no search domain is tried; IPv6 may have a zone, `fe80::1%eth0`.
    """
    port: int
    prefix: str = ""
    """A path before `/v2`, without trailing slash: for a cluster behind a reverse proxy."""

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """`host:port` as the Host header has it: with a last dot, without a zone, as Go and curl have it."""
        return _authority(self.host.partition("%")[0], self.port)

    @property
    def tls_name(self) -> str:
        return tls_name(self.host)

    @property
    def url(self) -> str:
        return _url(self)

    def __str__(self) -> str:
        return self.url


@lru_cache(maxsize=1024)
def _url(endpoint: Endpoint) -> str:
    """Asked for with each raw answer."""
    return f"{endpoint.scheme}://{_authority(endpoint.host, endpoint.port)}{endpoint.prefix}"


def tls_name(host: str) -> str:
    """What TLS asks for (SNI) and what the certificate has to be for: neither with a last dot nor with a zone."""
    return host.partition("%")[0].removesuffix(".")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
        port, host = parts.port, parts.hostname and _zone_as_written(parts.hostname)
    except ValueError as error:
        raise ValueError(f"endpoint {text!r}: {error}") from error
    reason = _refusal(parts, host, written)
    if reason is not None or host is None:
        raise ValueError(f"endpoint {text!r}: {reason}")

    # 4. What was left out.
    if port is None:
        port = DEFAULT_PORT if bare else URL_PORTS[parts.scheme]
    return Endpoint(parts.scheme, _ascii(host, text), port, parts.path.rstrip("/"))


def parse_endpoints(given: str | Iterable[str], *, tls: bool = False) -> tuple[Endpoint, ...]:
    """Every endpoint once, in the order given; a lone string is one endpoint."""
    if isinstance(given, (bytes, bytearray)) or not isinstance(given, Iterable):
        raise TypeError(f"endpoints: {given!r} is no list; give one, like {LIST}, or one endpoint as a str")
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
    if _SEVERAL.match(written):
        raise ValueError(f"endpoint {text!r}: holds several; give a list, like {LIST}")
    return written


def _with_scheme(written: str, *, tls: bool) -> str:
    # More than one colon: a bare IPv6 address, which a URL has in brackets.
    if written.count(":") > 1 and not written.startswith("["):
        written = f"[{written}]"
    return f"{'https' if tls else 'http'}://{written}"


def _zone_as_written(host: str) -> str:
    """A zone, as in `fe80::1%eth0`, has a percent-encoded `%` in a URL (RFC 6874); people write it without, too."""
    return host.replace("%25", "%", 1) if ":" in host else host


def _refusal(parts: SplitResult, host: str | None, written: str) -> str | None:
    """Why these are not the parts of an endpoint; None when they are."""
    if parts.scheme not in URL_PORTS:
        return "the scheme must be http or https"
    if copied := _copied(parts):
        return copied
    if not _PATH.fullmatch(parts.path):
        return "percent-encode the path, and leave '.' and '..' out of it"
    if "?" in written or "#" in written:  # also with nothing behind
        return "must have no query and no fragment"
    if not host:
        return "has no host"
    if parts.port == 0:
        return "port 0 cannot be connected to"
    if host.isascii() and not (_NAME.fullmatch(host) or _is_ipv6(host)):
        return f"{host!r} is neither a host name nor an address"
    return None


def _is_ipv6(host: str) -> bool:
    """With or without a zone."""
    address, percent, zone = host.partition("%")
    if percent and not _ZONE.fullmatch(zone):
        return False
    try:
        return bool(IPv6Address(address))
    except ValueError:
        return False


def _copied(parts: SplitResult) -> str | None:
    """For the URL of a request: what to write instead."""
    path = re.sub("/{2,}", "/", unquote(parts.path))
    found = _API.search(path)
    if found is None and path.rstrip("/") not in _ALONE:
        return None

    kept = path[: found.start()] if found is not None else ""
    own = found[0].rstrip("/") if found is not None else path
    return f"{own!r} is what a request asks for, not where a server is; write '{parts.scheme}://{parts.netloc}{kept}'"


def _ascii(host: str, text: str) -> str:
    """The host name as DNS has it."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"endpoint {text!r}: the host name cannot be encoded: {error}") from error
