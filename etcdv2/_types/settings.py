"""What a caller can set: times, consistency; and all settings as the ETCDCTL_* variables have them.

Owns local refusal of contradictory settings. Opens no connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from etcdv2._types.tls import TLS

Consistency: TypeAlias = Literal["local", "session", "quorum"]
CONSISTENCIES: Final = ("local", "session", "quorum")


class Unset(Enum):
    """A parameter that was not given, where None has a meaning of its own."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "<not given>"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """How long things may take, in seconds; `None` means no limit.

    `attempt` and `commit` hold until the answer begins and then for each silence within it, as a
    large tree takes its time. `total` holds over all attempts and the pauses between them; without
    it rounds over the endpoints are bounded.
    """

    connect: float | None = 1.0
    """To connect, TLS included."""
    attempt: float | None = 2.0
    """One try of a local read."""
    commit: float | None = 8.0
    """One try of a write or quorum read: more than the server's own limit, 7 s with its defaults."""
    total: float | None = 20.0
    """Everything."""

    def __post_init__(self) -> None:
        for name in ("connect", "attempt", "commit", "total"):
            check_seconds(f"timeout {name}", getattr(self, name))


TimeoutLike: TypeAlias = Timeout | float | None
"""A number alone is the total; None is no total: then rounds over the endpoints are bounded."""


def check_seconds(what: str, value: object) -> None:
    """Raises TypeError or ValueError unless `value` is None or a positive, finite number."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what}: must be a number of seconds or None, not {value!r}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{what}: must be more than 0 seconds, not {value!r}; None means no limit")


def timeout_from(given: TimeoutLike | Unset, standard: Timeout) -> Timeout:
    """The times for one call or client: `given` over `standard`."""
    if isinstance(given, Unset):
        return standard
    if isinstance(given, Timeout):
        return given
    check_seconds("timeout", given)
    return replace(standard, total=None if given is None else float(given))


def check_user_agent(value: object) -> None:
    """Raises TypeError or ValueError unless it can stand in a header, or is None."""
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"user_agent {value!r}: must be a str")
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"user_agent {value!r}: must be printable ASCII")


def check_consistency(value: str) -> None:
    if value not in CONSISTENCIES:
        raise ValueError(f"consistency: must be one of {', '.join(CONSISTENCIES)}, not {value!r}")


def settings_from_env(environ: Mapping[str, str]) -> dict[str, Any]:
    """Arguments for `Client` from the variables that etcdctl reads, of its v2 and v3 modes.

    ETCDCTL_ENDPOINTS, _ENDPOINT or _PEERS (commas between); _CA_FILE or _CACERT; _CERT_FILE or
    _CERT; _KEY_FILE or _KEY; _USERNAME or _USER (`name:password` too); _PASSWORD; _TOTAL_TIMEOUT,
    and _TIMEOUT or _DIAL_TIMEOUT (`5s`). Empty ones count as unset. Raises ValueError that names
    the variable.
    """
    variables = _Variables(environ)
    found: dict[str, Any] = {}

    endpoints = variables.text("ENDPOINTS", "ENDPOINT", "PEERS")
    if endpoints:
        found["endpoints"] = [part.strip() for part in endpoints.split(",") if part.strip()]

    # Any of the files makes TLS settings, which refuse a key without its certificate.
    ca, cert = variables.text("CA_FILE", "CACERT"), variables.text("CERT_FILE", "CERT")
    key = variables.text("KEY_FILE", "KEY")
    if ca or cert or key:
        found["tls"] = TLS(ca_file=ca, cert_file=cert, key_file=key)

    user = variables.text("USERNAME", "USER")
    if user:
        found["username"], found["password"] = _credentials(user, variables.text("PASSWORD"))

    # The variables have these two times only.
    total, connect = variables.seconds("TOTAL_TIMEOUT"), variables.seconds("TIMEOUT", "DIAL_TIMEOUT")
    if total or connect:
        found["timeout"] = Timeout(connect=connect or Timeout().connect, total=total or Timeout().total)
    return found


class _Variables:
    """etcdctl's variables, named without ETCDCTL_. Of several names the first that is set counts."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, *names: str) -> str | None:
        return next((value for _, value in self._set(names)), None)

    def seconds(self, *names: str) -> float | None:
        """Raises ValueError for what is not a duration."""
        return next((_seconds(variable, value) for variable, value in self._set(names)), None)

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


_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(variable: str, text: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    if found is None:
        raise ValueError(f"{variable}: {text!r} is not a duration like '5s', '500ms' or '1m'")
    return float(found[1]) * _UNITS[found[2]]
