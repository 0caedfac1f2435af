"""All settings as the ETCDCTL_* variables have them.

Owns what each variable means, and the refusal of those that cannot be honoured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from etcdv2._types.settings import Timeout
from etcdv2._types.srv import Srv
from etcdv2._types.tls import TLS

WITHOUT_EFFECT: Final = frozenset(
    {"API", "DEBUG", "HEX", "OUTPUT", "WRITE_OUT", "NO_SYNC", "KEEPALIVE_TIME", "KEEPALIVE_TIMEOUT"}
)
"""About what etcdctl prints, about gRPC, or about what this client does not do by itself."""
_KNOWN: Final = WITHOUT_EFFECT | {
    *("ENDPOINTS", "ENDPOINT", "PEERS", "DISCOVERY_SRV", "DISCOVERY_SRV_NAME", "INSECURE_DISCOVERY"),
    *("CA_FILE", "CACERT", "CERT_FILE", "CERT", "KEY_FILE", "KEY", "INSECURE_SKIP_TLS_VERIFY", "INSECURE_TRANSPORT"),
    *("USERNAME", "USER", "PASSWORD", "TOTAL_TIMEOUT", "COMMAND_TIMEOUT", "TIMEOUT", "DIAL_TIMEOUT"),
}


def settings_from_env(environ: Mapping[str, str]) -> dict[str, Any]:
    """Arguments for `Client` from the variables that etcdctl reads, of its v2 and v3 modes.

    ETCDCTL_ENDPOINTS, _ENDPOINT or _PEERS (commas between), or _DISCOVERY_SRV, _DISCOVERY_SRV_NAME
    and _INSECURE_DISCOVERY, which go before; _CA_FILE or _CACERT; _CERT_FILE or _CERT; _KEY_FILE or
    _KEY; _INSECURE_SKIP_TLS_VERIFY; _INSECURE_TRANSPORT (false: TLS in any case); _USERNAME or _USER
    (`name:password` too); _PASSWORD; _TOTAL_TIMEOUT or _COMMAND_TIMEOUT, and _TIMEOUT or
    _DIAL_TIMEOUT (Go's durations: `5s`, `1m30s`).

    Empty ones count as unset. Raises ValueError that names the variable, also for one of a name that
    etcdctl does not know.
    """
    variables = _Variables(environ)
    found: dict[str, Any] = {}

    endpoints = _endpoints(variables)
    if endpoints:
        found["endpoints"] = endpoints

    tls = _tls(variables)
    if tls is not None:
        found["tls"] = tls

    user, password = variables.text("USERNAME", "USER"), variables.text("PASSWORD")
    if user:
        found["username"], found["password"] = _credentials(user, password)
    elif password:
        raise ValueError("ETCDCTL_PASSWORD has no user: set ETCDCTL_USERNAME")

    # The variables have these two times only.
    total = variables.seconds("TOTAL_TIMEOUT", "COMMAND_TIMEOUT")
    connect = variables.seconds("TIMEOUT", "DIAL_TIMEOUT")
    if total or connect:
        found["timeout"] = Timeout(connect=connect or Timeout().connect, total=total or Timeout().total)
    return found


def _endpoints(variables: _Variables) -> list[str] | Srv | None:
    service, insecure = variables.text("DISCOVERY_SRV_NAME"), variables.flag("INSECURE_DISCOVERY")
    domain = variables.text("DISCOVERY_SRV")
    if domain:
        try:
            return Srv(
                domain=domain, service=service or "", insecure_discovery=insecure is not False, verify_domain=True
            )
        except ValueError as error:
            raise ValueError(f"ETCDCTL_DISCOVERY_SRV: {error}") from error
    if service:
        raise ValueError("ETCDCTL_DISCOVERY_SRV_NAME has no domain: set ETCDCTL_DISCOVERY_SRV")
    text = variables.text("ENDPOINTS", "ENDPOINT", "PEERS")
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def _tls(variables: _Variables) -> TLS | None:
    """Any of the files makes TLS settings, which refuse a key without its certificate."""
    ca, cert = variables.text("CA_FILE", "CACERT"), variables.text("CERT_FILE", "CERT")
    key, anybody = variables.text("KEY_FILE", "KEY"), variables.flag("INSECURE_SKIP_TLS_VERIFY")
    if not (ca or cert or key or anybody or variables.flag("INSECURE_TRANSPORT") is False):
        return None
    return TLS(ca_file=None if anybody else ca, cert_file=cert, key_file=key, verify=not anybody)


class _Variables:
    """etcdctl's variables, named without ETCDCTL_. Of several names the first that is set counts."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        for variable, value in environ.items():
            name = variable.removeprefix("ETCDCTL_")
            if value and name != variable and name not in _KNOWN:
                raise ValueError(f"{variable}: is no variable of etcdctl that a client can follow")

    def text(self, *names: str) -> str | None:
        return next((value for _, value in self._set(names)), None)

    def seconds(self, *names: str) -> float | None:
        """Raises ValueError for what is not a duration."""
        return next((_seconds(variable, value) for variable, value in self._set(names)), None)

    def flag(self, name: str) -> bool | None:
        """As Go reads it. Raises ValueError for what is neither true nor false."""
        for variable, value in self._set((name,)):
            if value in ("1", "t", "T", "true", "TRUE", "True"):
                return True
            if value in ("0", "f", "F", "false", "FALSE", "False"):
                return False
            raise ValueError(f"{variable}: {value!r} is neither true nor false")
        return None

    def _set(self, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for name in names:
            variable = f"ETCDCTL_{name}"
            if value := self._environ.get(variable):
                yield variable, value


def _credentials(user: str, password: str | None) -> tuple[str, str]:
    """User name and password; `user` may hold both, and a password of its own wins."""
    name, colon, rest = user.partition(":")
    if not colon and password is None:
        raise ValueError("ETCDCTL_USERNAME has no password: write 'name:password' or set ETCDCTL_PASSWORD")
    return name, rest if password is None else password


_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")


def _seconds(variable: str, text: str) -> float:
    """A duration as Go reads it: numbers, each with its unit, that are added up."""
    seconds, at = 0.0, 1 if text.startswith("+") else 0
    while (found := _PART.match(text, at)) is not None:
        seconds += float(found[1]) * _UNITS[found[2]]
        at = found.end()
    if at != len(text) or not seconds:
        raise ValueError(f"{variable}: {text!r} is not a duration like '5s', '500ms' or '1m30s', more than 0")
    return seconds
