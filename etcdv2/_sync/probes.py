# Derived from etcdv2/_async/probes.py by scripts/unasync.py: change that file, make generate.
"""What endpoints say when each is asked by itself: their health, whether a client can work, whose member one is.

Owns which requests are asked and what their answers mean for that. All endpoints at once, without
failover: what is asked is the endpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from etcdv2._core.deadline import Deadline, shorter
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import CLUSTER_ID, TransportFailure
from etcdv2._runtime.first_of import first_of
from etcdv2._runtime.handlers import raise_of_handler
from etcdv2._runtime.primitives import check_loop
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._types.call_errors import ClusterUnavailable
from etcdv2._types.results import ClusterHealth, EndpointHealth, Readiness
from etcdv2._types.settings import TimeoutLike, Unset
from etcdv2_api import Call, Health, KeysError, Message, UndescribedAnswer, operations

NO_SUCH_PAGE = (404, b"404 page not found\n")
"""What etcd's router says to a path that it does not have (spec/protocol.md section 1)."""
NO_V2_API = "this server has no v2 API, or it is off (etcd 3.4 and 3.5 need --enable-v2)"
KEY_NOT_FOUND = 100


def not_in_dns(dispatcher: Dispatcher) -> tuple[EndpointHealth, ...]:
    """For endpoints that DNS should have and has not: why. Empty where there are endpoints."""
    check_loop()
    started = time.monotonic()
    try:
        dispatcher.find_endpoints(Deadline.after(dispatcher.timeout.attempt, started))
    except ClusterUnavailable as error:
        return tuple(EndpointHealth(one.endpoint, False, one.cause, one.elapsed) for one in error.attempts)
    return ()


def health_of_all(dispatcher: Dispatcher) -> ClusterHealth:
    """Raises nothing of one endpoint."""
    asks = [partial(_judged, endpoint, partial(_unhealthy, dispatcher, endpoint)) for endpoint in dispatcher.endpoints]
    return ClusterHealth(tuple(first_of(asks, lambda _: False)))


def is_member(dispatcher: Dispatcher, endpoint: Endpoint, within: float | None) -> bool:
    """Whether an endpoint that is new answers for the cluster of the others."""
    if all(known.tls != endpoint.tls for known in dispatcher.endpoints):
        return False
    call = operations.list_members()
    try:
        # Without the password, which a stranger could only get to know; members answer this to everybody.
        reply = dispatcher.ask(endpoint, call, within, anonymous=True)
        answer = call.decode(reply.status, reply.body)
    except (TransportFailure, ValueError) as error:
        raise_of_handler(error)
        return False
    same = reply.headers.get(CLUSTER_ID, "") == dispatcher.cluster_id
    return same and not isinstance(answer, Message)


def readiness(dispatcher: Dispatcher, key: str | None, timeout: TimeoutLike | Unset) -> Readiness:
    """Raises ValueError for a key or timeout that is none, and nothing of one endpoint."""
    times = dispatcher.times(timeout)
    within = shorter(times.attempt, times.total)
    calls: list[Call[Any, Any]] = [operations.get_leader()]
    if key is not None:
        calls.append(operations.get_key(key))

    asks = [
        partial(_judged, endpoint, partial(_unready, dispatcher, endpoint, calls, within))
        for endpoint in dispatcher.endpoints
    ]
    found = first_of(asks, lambda one: one.healthy)
    return Readiness(any(one.healthy for one in found), tuple(found))


def _judged(endpoint: Endpoint, ask: Callable[[], str]) -> EndpointHealth:
    """What it comes to: `ask` gives the reason why not, "" for none."""
    started = time.monotonic()
    try:
        reason = ask()
    except TransportFailure as error:
        reason = str(error)
    return EndpointHealth(endpoint.url, not reason, reason, time.monotonic() - started)


def _unhealthy(dispatcher: Dispatcher, endpoint: Endpoint) -> str:
    """What the member says. Raises TransportFailure."""
    call = operations.get_health()
    reply = dispatcher.ask(endpoint, call, dispatcher.timeout.attempt)
    try:
        answer = call.decode(reply.status, reply.body)
    except ValueError as error:
        raise_of_handler(error)
        return dispatcher.shown(error, call)

    if not isinstance(answer, Health):
        return answer.message
    return "" if answer.health == "true" else answer.reason or "the member says so, without a reason"


def _unready(
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    calls: list[Call[Any, Any]],
    within: float | None,
) -> str:
    """Whatever would keep a call from its answer there. Raises TransportFailure."""
    for call in calls:
        reply = dispatcher.ask(endpoint, call, within)

        # 1. A member, but of another cluster than this client's.
        if dispatcher.is_foreign(reply):
            return "it belongs to another cluster"

        # 2. Nothing that etcd would say where v2 is on.
        try:
            answer = call.decode(reply.status, reply.body)
        except UndescribedAnswer as error:
            raise_of_handler(error)
            return NO_V2_API if (reply.status, reply.body) == NO_SUCH_PAGE else dispatcher.shown(error, call)

        # 3. No leader, which is no error of the key; or the key is not to be read. One that is not there can be.
        if isinstance(answer, Message):
            return f"no leader: {answer.message}" if reply.status == 503 else answer.message
        if isinstance(answer, KeysError) and answer.error_code != KEY_NOT_FOUND:
            return f"{answer.message} (error {answer.error_code}): {answer.cause}"
    return ""
