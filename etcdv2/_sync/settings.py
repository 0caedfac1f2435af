# Derived from etcdv2/_async/settings.py by scripts/unasync.py: change that file, make generate.
"""The settings of a client beside its endpoints, for what makes clients.

Owns their names and types; checks nothing.
"""

from __future__ import annotations

import ssl
from typing import Literal, TypedDict

from etcdv2._sync.transports import HttpTransport
from etcdv2._types.hooks import Hook
from etcdv2._types.settings import Consistency, TimeoutLike, Unset
from etcdv2._types.tls import TLS


class ClientSettings(TypedDict, total=False):
    """The settings of a client beside its endpoints."""

    username: str | None
    password: str | None
    tls: TLS | ssl.SSLContext | None
    timeout: TimeoutLike | Unset
    consistency: Consistency
    repeat_writes: bool
    prefer_leader: bool
    max_connections: int
    transport: HttpTransport | Literal["httpx"] | None
    proxy: str | None
    trust_env: bool
    user_agent: str | None
    before_attempt: Hook | None
    after_attempt: Hook | None
