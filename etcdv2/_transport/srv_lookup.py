"""SRV records, by dnspython, which is asked in a thread of the look-ups'.

Owns what its answers and exceptions mean.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final

from etcdv2._core.srv import Found, NoRecords, SrvRecord
from etcdv2._transport.lookup import async_answer, wait_for_answer
from etcdv2._types.srv import SrvResolver

LIFETIME_SECONDS: Final = 5.0
"""How long one look-up asks."""


def check_dnspython() -> None:
    """Raises ImportError that says what to install."""
    try:
        importlib.import_module("dns.resolver")
    except ImportError as error:
        raise ImportError("SRV records are looked up by dnspython: pip install 'etcdv2[srv]'") from error


async def async_srv_records(name: str, resolver: SrvResolver | None, ends: float) -> Found:
    """The records of a name, or why there are none."""
    try:
        return _found(await async_answer((name, id(resolver)), lambda: _ask(name, resolver), ends))
    except OSError as error:
        return error


def srv_records(name: str, resolver: SrvResolver | None, ends: float) -> Found:
    try:
        return _found(wait_for_answer((name, id(resolver)), lambda: _ask(name, resolver), ends))
    except OSError as error:
        return error


def _found(records: Sequence[SrvRecord] | None) -> Found:
    return NoRecords("DNS has no such records") if records is None else records


def _ask(name: str, resolver: SrvResolver | None) -> Sequence[SrvRecord] | None:
    """None when there are none for certain. Raises OSError for no answer, and for a broken one."""
    dns: Any = importlib.import_module("dns.resolver")
    failure: type[Exception] = importlib.import_module("dns.exception").DNSException
    try:
        found = (resolver or dns.Resolver()).resolve(name, "SRV", search=False, lifetime=LIFETIME_SECONDS)
        return [SrvRecord(one.priority, one.weight, one.target.to_text(), one.port) for one in found]
    except (dns.NXDOMAIN, dns.NoAnswer):
        return None
    except failure as error:
        raise OSError(str(error) or type(error).__name__) from error
