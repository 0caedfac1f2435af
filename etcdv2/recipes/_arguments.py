"""What callers of the recipes give, checked before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite

from etcdv2.recipes._lease import LEAST_TTL


def lease_ttl(ttl: object) -> int:
    """Whole seconds. Raises TypeError or ValueError."""
    if isinstance(ttl, timedelta):
        whole, rest = divmod(ttl, timedelta(seconds=1))
        ttl = whole + (1 if rest else 0)
    if isinstance(ttl, bool) or not isinstance(ttl, int):
        raise TypeError(f"ttl {ttl!r}: must be whole seconds as int, or a timedelta; a lease always has one")
    if ttl < LEAST_TTL:
        raise ValueError(
            f"ttl {ttl!r}: must be at least {LEAST_TTL} s, as it has to be renewed several times within it"
        )
    return ttl


def check_margin(margin: object, ttl: int) -> float | None:
    """Raises TypeError or ValueError unless it leaves time to hold the lease."""
    if margin is None:
        return None
    if isinstance(margin, bool) or not isinstance(margin, (int, float)):
        raise TypeError(f"margin {margin!r}: must be a number of seconds or None")
    if not 0 <= margin < ttl / 2:
        raise ValueError(f"margin {margin!r}: must be at least 0 and less than half of the ttl, {ttl} s")
    return float(margin)


def check_owner(owner: object) -> str:
    """Raises TypeError or ValueError unless it can be a part of a key that is seen in listings."""
    return check_segment("owner", owner)


def check_segment(what: str, name: object) -> str:
    """The same for any name, which `what` says in the error."""
    if not isinstance(name, str):
        raise TypeError(f"{what} {name!r}: must be a str")
    if not name or "/" in name or name.startswith("_") or name in (".", ".."):
        raise ValueError(f"{what} {name!r}: must be one segment of a key, and not begin with '_', which hides it")
    return name


def check_text(what: str, value: object) -> str:
    """Raises TypeError unless it is a str."""
    if not isinstance(value, str):
        raise TypeError(f"{what}: a {type(value).__name__}; must be a str")
    return value


def check_int(what: str, number: object) -> int:
    """Raises TypeError unless it is an int."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{what} {number!r}: must be an int")
    return number


def check_timeout(timeout: object) -> None:
    """Raises TypeError or ValueError unless it is None or a number of seconds, 0 included."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout {timeout!r}: must be a number of seconds or None")
    if not (timeout >= 0 and isfinite(timeout)):
        raise ValueError(f"timeout {timeout!r}: must be 0 or more seconds; None means no limit")


def check_wait(timeout: object) -> None:
    """The same for a wait that has to take some time: 0 is for the call that does not wait."""
    check_timeout(timeout)
    if timeout == 0:
        raise ValueError("timeout 0: must be more than 0 seconds; try_acquire does not wait, and None means no limit")


def recipe_key(key: object) -> str:
    """The key as the server spells it. Raises TypeError or ValueError for one that nothing can be put below."""
    if not isinstance(key, str):
        raise TypeError(f"key {key!r}: must be a str")
    parts = [part for part in key.split("/") if part]
    if not parts:
        raise ValueError(f"key {key!r}: the root cannot be used for this")
    if "." in parts or ".." in parts:
        raise ValueError(f"key {key!r}: must not have '.' or '..' in it")
    return "/" + "/".join(parts)


def check_count(what: str, count: object) -> int:
    """Raises TypeError or ValueError unless it is 1 or more."""
    number = check_int(what, count)
    if number < 1:
        raise ValueError(f"{what} {count!r}: must be at least 1")
    return number
