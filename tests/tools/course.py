"""One call under way, with a fake clock and scripted outcomes: what the tests of its course begin from."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import CallPolicy
from etcdv2._core.call.route import Route
from etcdv2._core.call.steps import Answered, Try
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.wire import Phase, Reply, Sent, TransportFailure
from etcdv2._types.settings import Timeout
from etcdv2_api import Call, operations

READ = CallPolicy(write=False, repeat=False, session=False, commit=False)
QUORUM = CallPolicy(write=False, repeat=False, session=False, commit=True)
SESSION = CallPolicy(write=False, repeat=False, session=True, commit=False)
WRITE = CallPolicy(write=True, repeat=False, session=False, commit=True)
REPEATED = CallPolicy(write=True, repeat=True, session=False, commit=True)

GET = operations.get_key("/a")
PUT = operations.put_key("/a", value="1")
OURS = "cafe"
THEIRS = "beef"

Outcome = Reply | TransportFailure


class Straight(random.Random):
    """No shuffling and no jitter."""

    def shuffle(self, x: Any) -> None:
        pass

    def uniform(self, a: float, b: float) -> float:
        return b


def our_view() -> ClusterView:
    view = ClusterView()
    view.note(Meta(10, 20, 2, OURS))
    return view


class Course:
    """One call under way over endpoints a, b, c, with a clock that the test moves."""

    def __init__(
        self,
        policy: CallPolicy = READ,
        *,
        endpoints: int = 3,
        timeout: Timeout | None = None,
        call: Call[Any, Any] | None = None,
        now: float = 100.0,
        deadline: Deadline = NEVER,
        pool: EndpointPool | None = None,
        view: ClusterView | None = None,
    ) -> None:
        self.now = now
        self.pool = pool or EndpointPool([Endpoint("http", host, 2379) for host in "abc"[:endpoints]], Straight())
        self.view = view or our_view()
        self.route: Route[Any] = Route(
            call or (PUT if policy.write else GET),
            policy,
            timeout or Timeout(),
            self.pool,
            self.view,
            now,
            Straight(),
            deadline,
        )
        self.tried: list[str] = []
        self.pauses: list[float] = []

    @property
    def order(self) -> str:
        """The hosts as the next call would ask them."""
        return "".join(endpoint.host for endpoint in self.pool.order(self.now))

    def step(self) -> Try:
        """The next attempt; pauses pass at once."""
        while True:
            step = self.route.next(self.now)
            if isinstance(step, Try):
                self.tried.append(step.endpoint.host)
                return step
            self.pauses.append(step.seconds)
            self.now += step.seconds

    def come(self, outcome: Outcome, after: float = 0.0) -> Answered[Any] | None:
        """The next attempt, and what comes of it."""
        self.step()
        self.now += after
        if isinstance(outcome, Reply):
            return self.route.answered(outcome, self.now)
        self.route.failed(outcome, self.now)
        return None

    def run(self, *outcomes: Outcome, after: float = 0.0) -> Answered[Any]:
        """Go through the outcomes, the last one again and again, until the end of the call."""
        for outcome in itertools.chain(outcomes, itertools.repeat(outcomes[-1], 2000)):
            answered = self.come(outcome, after)
            if answered is not None:
                return answered
        raise AssertionError("the call never ends")

    def again(self, policy: CallPolicy, **more: Any) -> Course:
        """Another call of the same client."""
        return Course(policy, pool=self.pool, view=self.view, now=self.now, **more)


# --- what may come ----------------------------------------------------------------------------------------------------


def failure(phase: Phase, sent: Sent, *, timed_out: bool = False, aborted: bool = False) -> TransportFailure:
    return TransportFailure(f"broke in {phase}", phase, sent, timed_out=timed_out, aborted=aborted)


def headers(index: int = 10, term: int = 2, cluster: str = OURS) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "x-etcd-cluster-id": cluster,
        "x-etcd-index": str(index),
        "x-raft-index": str(index + 10),
        "x-raft-term": str(term),
    }


def event(action: str = "get", index: int = 10, *, status: int = 200, term: int = 2, cluster: str = OURS) -> Reply:
    node = {"key": "/a", "value": "1", "modifiedIndex": index, "createdIndex": index}
    return Reply(status, headers(index, term, cluster), json.dumps({"action": action, "node": node}).encode())


def keys_error(code: int, status: int, cause: str = "/a", *, index: int = 10, cluster: str = OURS) -> Reply:
    body = {"errorCode": code, "message": f"text of {code}", "cause": cause, "index": index}
    heads = {"content-type": "application/json", "x-etcd-cluster-id": cluster, "x-etcd-index": str(index)}
    return Reply(status, heads, json.dumps(body).encode())


def message(status: int, text: str, *, cluster: str = "") -> Reply:
    heads = {"content-type": "application/json"}
    if cluster:
        heads["x-etcd-cluster-id"] = cluster
    return Reply(status, heads, json.dumps({"message": text}).encode())


def plain(status: int, text: str = "", **more: str) -> Reply:
    return Reply(status, {"content-type": "text/plain", **more}, text.encode())


REFUSED = TransportFailure("connection refused", "connect", Sent.NOTHING)
LOST = TransportFailure("connection reset", "wait", Sent.WHOLE)
SILENT = TransportFailure("timed out", "wait", Sent.WHOLE, timed_out=True)

GOT = event()
SET = event("set", 11, status=201)
FOREIGN = event(cluster=THEIRS)
NO_V2 = plain(404, "404 page not found\n")
NO_LEADER = keys_error(300, 500, "etcdserver: request timed out", index=0)
NO_MEMBER = message(503, "httpproxy: zero endpoints currently available")
NO_RESPONSE = message(502, "httpproxy: unable to get response from 3 endpoint(s)")
NOT_LEADING = message(403, "not current leader")
