"""What a caller can set: times, consistency.

Owns local refusal of contradictory settings. Opens no connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

Consistency: TypeAlias = Literal["local", "session", "quorum"]
CONSISTENCIES: Final = ("local", "session", "quorum")


class Unset(Enum):
    """A parameter that was not given, where None has a meaning of its own."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "<not given>"


UNSET: Final = Unset.UNSET


class Keep(Enum):
    """The type of `KEEP`."""

    KEEP = "keep"

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Keep.KEEP
"""For `ttl=` of `keys.modify`: what is left of the TTL that the key has."""


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

    @classmethod
    def within(cls, seconds: float) -> Timeout:
        """No try takes longer than this, nor all of them together; connecting 1 s at most."""
        check_seconds("within", seconds)
        return cls(connect=min(1.0, seconds), attempt=seconds, commit=seconds, total=seconds)

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


def check_wait(timeout: object) -> None:
    """The same for how long a call may wait: 0 is for what is there already."""
    if isinstance(timeout, bool) or timeout != 0:
        check_seconds("timeout", timeout)


def check_batch(timeout: object, gather: object, limit: object) -> None:
    """Raises TypeError or ValueError for what `batch` cannot be given."""
    check_wait(timeout)
    if gather is None or isinstance(gather, bool) or gather != 0:
        if gather is None:
            raise TypeError("gather: must be a number of seconds, not None")
        check_seconds("gather", gather)
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit: must be a number of items or None, not {limit!r}")
    if limit < 1:
        raise ValueError(f"limit: must be 1 or more, not {limit}; None means no limit")


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


def check_kinds(flags: Mapping[str, object], hooks: Mapping[str, object]) -> None:
    """Raises TypeError that names the argument: a text like "no" would count as true."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} {value!r}: must be True or False")
    for name, value in hooks.items():
        if value is not None and not callable(value):
            raise TypeError(f"{name} {value!r}: must be a function or None")


def check_consistency(value: str) -> None:
    if value not in CONSISTENCIES:
        raise ValueError(f"consistency: must be one of {', '.join(CONSISTENCIES)}, not {value!r}")


def with_settings(found: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the environment, and over them those that were given: a user name with the password given beside it."""
    if "username" in given:
        found.pop("password", None)
    return {**found, **given}
