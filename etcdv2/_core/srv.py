"""From SRV records to endpoints: which of them count, and in what order they are tried.

Owns the rules of RFC 2782 and of etcd's own clients. Looks nothing up.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from etcdv2._core.endpoints import Endpoint


class SrvRecord(NamedTuple):
    priority: int
    weight: int
    target: str
    """Absolute: with its last dot."""
    port: int


class NoRecords(LookupError):
    """DNS says that there are none of this name, which is certain."""


Found = Sequence[SrvRecord] | Exception


def endpoints_of(found: Mapping[str, Found], *, secure: bool, rng: random.Random) -> tuple[Endpoint, ...]:
    """The endpoints of these records by their scheme, in the order in which to try them.

    All of them, https first, as in the Go client. But where `secure` (TLS settings or a password are
    given) none without TLS is taken as long as there is one with it, or as it is not certain that
    there is none: whoever can hold back an answer of DNS would get the password in the clear.
    """
    endpoints: list[Endpoint] = []
    for scheme in ("https", "http"):
        records = found.get(scheme, ())
        if scheme == "http" and secure and (endpoints or not isinstance(found.get("https"), NoRecords)):
            continue
        if not isinstance(records, Exception):
            endpoints += [Endpoint(scheme, record.target.lower(), record.port) for record in in_order(records, rng)]
    return tuple(dict.fromkeys(endpoints))


def in_order(records: Sequence[SrvRecord], rng: random.Random) -> list[SrvRecord]:
    """By priority; among equals by a lot in which each has a chance like its weight.

    Target "." says that there is no such service, port 0 cannot be connected to.
    """
    left = [record for record in records if record.target != "." and record.port]
    ordered: list[SrvRecord] = []
    while left:
        first = min(record.priority for record in left)
        equals = sorted((record for record in left if record.priority == first), key=lambda record: record.weight)

        # RFC 2782: those without weight come first in the sum, so that they have a small chance.
        sums = list(accumulate(record.weight for record in equals))
        record = equals[bisect_left(sums, rng.randint(0, sums[-1]))]
        ordered.append(record)
        left.remove(record)
    return ordered
