# Derived from etcdv2/_async/without_v2.py by scripts/unasync.py: change that file, make generate.
"""Why no endpoint serves the v2 API: what stands there instead, as far as it tells.

Owns the questions; the texts are the error's. Decides nothing about endpoints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Protocol

from etcdv2._core.deadline import Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import CLUSTER_ID, Reply, TransportFailure
from etcdv2._runtime.handlers import raise_of_handler
from etcdv2._types.call_errors import V2ApiDisabled
from etcdv2._types.settings import Timeout
from etcdv2_api import Call, Message, operations


class Asks(Protocol):
    """What of the dispatcher is needed."""

    timeout: Timeout

    @property
    def endpoints(self) -> tuple[Endpoint, ...]: ...

    def ask(
        self, endpoint: Endpoint, call: Call[Any, Any], within: float | None = None, *, anonymous: bool = False
    ) -> Reply: ...


def without_v2(dispatcher: Asks, error: V2ApiDisabled, deadline: Deadline) -> V2ApiDisabled:
    """The error with what the first endpoint that answers at all shows.

    An etcd answers /version everywhere below its own root, and only its peer port has /members
    (seen on 3.4 and 3.5). So neither means another path or another server.
    """
    path = ""
    for endpoint in dispatcher.endpoints:
        if endpoint.url not in error.endpoints:
            continue
        version = _version(dispatcher, endpoint, deadline)
        if version is not None:
            peers = _client_urls(dispatcher, endpoint, deadline)
            return V2ApiDisabled(error.endpoints, version, peer_of=peers)
        path = path or endpoint.prefix
    return V2ApiDisabled(error.endpoints, path=path)


def _version(dispatcher: Asks, endpoint: Endpoint, deadline: Deadline) -> str | None:
    call = operations.get_version()
    try:
        reply = dispatcher.ask(endpoint, call, deadline.cut(dispatcher.timeout.attempt, time.monotonic()))
        answer = call.decode(reply.status, reply.body)
    except (TransportFailure, ValueError) as error:
        raise_of_handler(error)
        return None
    return None if isinstance(answer, Message) else answer.etcdserver


def _client_urls(dispatcher: Asks, endpoint: Endpoint, deadline: Deadline) -> Sequence[str] | None:
    """Those that a peer port names; None where this is no peer port."""
    call = operations.get_version()._replace(path="/members")
    within = deadline.cut(dispatcher.timeout.attempt, time.monotonic())
    try:
        reply = dispatcher.ask(endpoint, call, within, anonymous=True)
        if reply.status != 200 or CLUSTER_ID not in reply.headers:
            return None
        return [str(url) for member in json.loads(reply.body) for url in member.get("clientURLs") or ()]
    except (TransportFailure, ValueError, TypeError, AttributeError) as error:
        raise_of_handler(error)
        return None
