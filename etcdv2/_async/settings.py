"""What a client is given: its settings beside the endpoints, for what makes clients, and what is attached to it.

Owns their names and types; checks nothing.
"""

from __future__ import annotations

import ssl
from typing import Literal, Protocol, TypedDict

from etcdv2._async.transports import AsyncHttpTransport
from etcdv2._types.hooks import Hook
from etcdv2._types.settings import Consistency, TimeoutLike, Unset
from etcdv2._types.tls import TLS


class AsyncPart(Protocol):
    """What can be attached to a client."""

    async def close(self) -> None: ...


class AsyncClientSettings(TypedDict, total=False):
    """The settings of a client beside its endpoints."""

    username: str | None
    password: str | None
    tls: TLS | ssl.SSLContext | None
    timeout: TimeoutLike | Unset
    consistency: Consistency
    repeat_writes: bool
    prefer_leader: bool
    max_connections: int
    transport: AsyncHttpTransport | Literal["httpx"] | None
    proxy: str | None
    trust_env: bool
    user_agent: str | None
    before_attempt: Hook | None
    after_attempt: Hook | None
