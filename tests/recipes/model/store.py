"""A model of an etcd v2 store, and a client of it between which everything can go wrong.

Owns what servers do (spec/protocol.md sections 7 and 8): conditions, indexes, TTLs from the moment when a
member parsed the request by its own clock, a sweep every 0.5 s by the leader's. Requests are lost,
delayed beyond their client's patience, reordered, carried out twice, and their answers lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from random import Random
from typing import Any, TypeVar
from weakref import WeakSet

from etcdv2 import (
    ClusterUnavailable,
    CompareFailed,
    EtcdError,
    Event,
    HistoryCleared,
    KeyExists,
    KeyNotFound,
    Node,
    Outcome,
    OutcomeUnknown,
    Response,
    Timeout,
)
from tests.recipes.model.virtual_loop import ACTOR, VirtualLoop

T = TypeVar("T")

CLUSTER = "model"
PATIENT = Timeout(total=20.0)
"""Of calls that name none."""
SWEEP_SECONDS = 0.5


@dataclass(slots=True)
class Faults:
    """How likely what is, for each request."""

    lose: float = 0.0
    """It never arrives, or its answer does not."""
    late: float = 0.0
    """It is carried out up to `latest` seconds after it was parsed."""
    latest: float = 8.0
    slow: float = 0.0
    """Its answer takes up to a second."""
    twice: float = 0.0
    skew: float = 0.0
    """Seconds by which the members' clocks differ from the leader's, at most."""
    history: int = 1000
    cut: set[str] = field(default_factory=set)
    """Actors whose requests arrive nowhere."""


@dataclass(frozen=True, slots=True)
class File:
    value: str
    created: int
    modified: int
    expires: float | None


class Store:
    """One store, as all members agree on it."""

    def __init__(self, loop: VirtualLoop, rng: Random, faults: Faults) -> None:
        self.loop = loop
        self.rng = rng
        self.faults = faults
        self.index = 10
        self.files: dict[str, File] = {}
        self.events: list[tuple[int, Event]] = []
        self.states: list[tuple[int, dict[str, File]]] = [(10, {})]
        self.changed: list[asyncio.Event] = []
        self._swept = loop.time()

    # --- what is carried out -----------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove what had expired at each sweep until now."""
        while self._swept + SWEEP_SECONDS <= self.loop.time():
            self._swept += SWEEP_SECONDS
            gone = [(f.expires, k) for k, f in self.files.items() if f.expires is not None and f.expires <= self._swept]
            for _, key in sorted(gone):
                self._remove(key, "expire")

    def write(self, method: str, key: str, parsed: float, arguments: dict[str, Any]) -> Response:
        """Carry one out that a member parsed at that moment of its own clock. Raises what the store answers."""
        self.sweep()
        found = self.files.get(key)
        value, index, ttl = (arguments.get(name) for name in ("prev_value", "prev_index", "ttl"))
        if method == "create" and found is not None:
            raise KeyExists("", code=105, cause=key, index=self.index)
        if method in ("refresh", "delete") and found is None:
            raise KeyNotFound("", code=100, cause=key, index=self.index)
        if value is not None or index is not None:
            if found is None:
                raise KeyNotFound("", code=100, cause=key, index=self.index)
            if (value is not None and found.value != value) or (index is not None and found.modified != index):
                raise CompareFailed("", code=101, cause=key, index=self.index)

        if method == "delete":
            self._remove(key, "delete")
            return self._response(key, None)
        self.index += 1
        expires = None if ttl is None else parsed + ttl
        if method == "refresh":
            assert found is not None
            self.files[key] = File(found.value, found.created, self.index, expires)
            self._keep()
        else:
            swapped = found is not None and (value is not None or index is not None)
            created = found.created if swapped and found is not None else self.index
            self.files[key] = File(arguments["value"], created, self.index, expires)
            self._happened("compareAndSwap" if swapped else method, key)
        return self._response(key, self.files[key])

    def read(self, key: str, state: tuple[int, dict[str, File]] | None = None) -> Response:
        """A file, or a directory with its files. Raises KeyNotFound."""
        self.sweep()
        index, files = state or (self.index, self.files)
        if key in files:
            return self._response(key, files[key], index)
        below = [self._node(name, file) for name, file in files.items() if name.startswith(key + "/")]
        if not below:
            raise KeyNotFound("", code=100, cause=key, index=index)
        node = Node.model_validate({"key": key, "dir": True, "createdIndex": 1, "modifiedIndex": 1})
        node = node.model_copy(update={"nodes": below})
        return Response("get", node, None, index, 0, 0, CLUSTER)

    def _remove(self, key: str, action: str) -> None:
        self.index += 1
        del self.files[key]
        self._happened(action, key)

    def _happened(self, action: str, key: str) -> None:
        file = self.files.get(key) or File("", self.index, self.index, None)
        self.events.append((self.index, Event(action, self._node(key, file), None, file.value)))
        self._keep()
        for changed in self.changed:
            changed.set()

    def _keep(self) -> None:
        self.states.append((self.index, dict(self.files)))
        del self.states[:-50]

    def _node(self, key: str, file: File) -> Node:
        ttl = None if file.expires is None else max(0, -int(-(file.expires - self.loop.time()) // 1))
        return Node.model_validate(
            {
                "key": key,
                "value": file.value,
                "createdIndex": file.created,
                "modifiedIndex": file.modified,
                "ttl": ttl,
                "expiration": None if file.expires is None else datetime.fromtimestamp(file.expires, UTC),
            }
        )

    def _response(self, key: str, file: File | None, index: int | None = None) -> Response:
        node = self._node(key, file or File("", self.index, self.index, None))
        return Response("get", node, None, self.index if index is None else index, 0, 0, CLUSTER)


class ModelUnknown(OutcomeUnknown):
    """As a call raises it that has lost its answer."""

    def __init__(self, index: int, key: str, value: str | None) -> None:
        self.args, self.index = ("no answer", key, value), index

    def __str__(self) -> str:
        return repr(self.args)


class ModelWatcher:
    """A watch that is told late."""

    def __init__(self, store: Store, key: str, after: int, recursive: bool) -> None:
        self._store = store
        self._key = key
        self._index = after
        self._recursive = recursive
        self._changed = asyncio.Event()
        self._began = False
        self.closed = False
        store.changed.append(self._changed)

    async def next(self, timeout: float | None = None) -> Event | None:
        store = self._store
        if not self._began and store.faults.history < store.index - self._index:
            raise HistoryCleared("", code=401, index=store.index)
        self._began = True
        ends = None if timeout is None else store.loop.time() + timeout
        while not self.closed:
            self._changed.clear()
            store.sweep()
            for index, event in store.events:
                if index > self._index and self._is_for(event.key) and not self._is_cut():
                    await asyncio.sleep(store.rng.uniform(0, 0.1))
                    self._index = index
                    return None if self.closed else event

            wait = SWEEP_SECONDS if ends is None else min(SWEEP_SECONDS, ends - store.loop.time())
            if wait <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
        return None

    def _is_cut(self) -> bool:
        return ACTOR.get() in self._store.faults.cut

    def _is_for(self, key: str) -> bool:
        return key == self._key or (self._recursive and key.startswith(self._key + "/"))

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._store.changed.remove(self._changed)
            self._changed.set()


@dataclass(frozen=True, slots=True)
class ModelState:
    """One state of what is below a key, as a mirror has it."""

    store: Store
    index: int
    files: dict[str, File]

    def node(self, key: str) -> Node | None:
        return self.store._node(key, self.files[key]) if key in self.files else None

    def children(self, key: str) -> tuple[Node, ...]:
        return tuple(self.store._node(name, file) for name, file in self.files.items() if name.startswith(key + "/"))


class ModelMirror:
    """A live copy that is a little behind."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        self._changed = asyncio.Event()
        self.state = ModelState(store, 0, {})
        self.closed = False

    async def open(self) -> None:
        await asyncio.sleep(self._store.rng.uniform(0, 0.1))
        if not self.closed:
            self._store.changed.append(self._changed)

    async def wait_for(self, predicate: Callable[[ModelState], T], timeout: float | None) -> T:
        store = self._store
        if self.closed:
            raise ValueError("the mirror is closed")
        ends = inf if timeout is None else store.loop.time() + timeout
        while True:
            self._changed.clear()
            self._read()
            value = predicate(self.state)
            wait = min(SWEEP_SECONDS, ends - store.loop.time())
            if value or wait <= 0 or self.closed:
                return value
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            await asyncio.sleep(store.rng.uniform(0, 0.1))

    def _read(self) -> None:
        """Some newer state, unless it is cut off."""
        store = self._store
        store.sweep()
        if ACTOR.get() in store.faults.cut:
            return
        states = [state for state in store.states if state[0] >= self.state.index]
        index, files = store.rng.choice(states[-3:])
        below = {name: file for name, file in files.items() if name.startswith(self._key + "/")}
        self.state = ModelState(store, index, below)

    async def close(self) -> None:
        if self._changed in self._store.changed:
            self._store.changed.remove(self._changed)
        self.closed = True
        self._changed.set()


class ModelKeys:
    """What the recipes use of `client.keys`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen = 0

    async def create(
        self, key: str, value: str, *, timeout: Timeout, repeat_writes: bool, ttl: int | None = None
    ) -> Response:
        return await self._write("create", key, timeout, {"value": value, "ttl": ttl})

    async def set(self, key: str, value: str, *, timeout: Timeout, ttl: int, **rest: Any) -> Response:
        return await self._write("set", key, timeout, {"value": value, "ttl": ttl, **rest})

    async def refresh(self, key: str, ttl: int, *, timeout: Timeout, **rest: Any) -> Response:
        return await self._write("refresh", key, timeout, {"ttl": ttl, **rest})

    async def delete(self, key: str, *, timeout: Timeout, **rest: Any) -> Response:
        return await self._write("delete", key, timeout, rest)

    async def get(
        self,
        key: str,
        *,
        timeout: Timeout = PATIENT,
        quorum: bool = False,
        consistency: str | None = None,
        recursive: bool = False,
    ) -> Response:
        """A listing has all below the key, flat."""
        del recursive
        store, states = self._store, self._store.states
        await self._sent(timeout)
        if quorum or consistency == "quorum":
            answer = store.read(key)
        else:  # whatever state this client may see
            store.sweep()
            seen = [state for state in states if state[0] >= self._seen]
            answer = store.read(key, store.rng.choice(seen[-3:]))
        await self._answered(timeout)
        self._seen = max(self._seen, answer.index)
        return answer

    def watch(self, key: str, *, after_index: int, recursive: bool = False) -> ModelWatcher:
        return ModelWatcher(self._store, key, after_index, recursive)

    def mirror(self, key: str) -> ModelMirror:
        return ModelMirror(self._store, key)

    async def resolve(self, error: OutcomeUnknown, *, timeout: float = 20.0) -> Outcome:
        """By a history that has everything."""
        await self._travels(Timeout(total=timeout))
        self._store.sweep()
        _, key, value = error.args
        for index, event in self._store.events:
            if index > error.index and event.key == key and event.node.value == value and not event.deleted:
                return Outcome("applied", True, index, event.node, "")
        return Outcome("not applied", False, self._store.index, None, "")

    async def modify(self, key: str, change: Callable[[str], str], *, default: str, unique: bool) -> Response:
        """What `unique=True` of the client promises: a lost answer is settled by the value, and sent again."""
        assert unique
        ends = self._store.loop.time() + 20.0
        while True:
            try:
                node = (await self.get(key, quorum=True)).node
            except ClusterUnavailable:
                continue
            except KeyNotFound:
                method, conditions, value = "create", {}, change(default)
            else:
                method, conditions, value = "set", {"prev_index": node.modified_index}, change(node.value or "")
            try:
                return await self._settled(method, key, {"value": value, **conditions}, ends)
            except (CompareFailed, KeyExists, ClusterUnavailable):
                if self._store.loop.time() > ends:
                    raise

    async def _settled(self, method: str, key: str, arguments: dict[str, Any], ends: float) -> Response:
        lost: OutcomeUnknown | None = None
        while True:
            try:
                return await self._write(method, key, Timeout(total=1.0), arguments)
            except OutcomeUnknown as error:
                lost = lost or error
                problem: EtcdError = error
            except (CompareFailed, KeyExists, ClusterUnavailable) as error:
                if lost is None:
                    raise
                problem = error
            try:
                outcome = await self.resolve(lost, timeout=1.0)
            except ClusterUnavailable:
                problem = lost
            else:
                if outcome.state == "applied":
                    assert outcome.node is not None
                    return Response("set", outcome.node, None, outcome.index, 0, 0, CLUSTER)
            if isinstance(problem, (CompareFailed, KeyExists)):
                raise problem
            if self._store.loop.time() > ends:
                raise lost

    async def _write(self, method: str, key: str, timeout: Timeout, arguments: dict[str, Any]) -> Response:
        """Sent now, carried out whenever: also when nobody waits for it any more."""
        store, faults, rng, loop = self._store, self._store.faults, self._store.rng, self._store.loop
        answer: asyncio.Future[Response] = loop.create_future()
        index = store.index
        if rng.random() < faults.lose or ACTOR.get() in faults.cut:
            await asyncio.sleep(timeout.total or 0)
            raise ModelUnknown(index, key, arguments.get("value")) if rng.random() < 0.7 else ClusterUnavailable("lost")

        async def carry_out() -> None:
            await asyncio.sleep(rng.uniform(0.001, 0.05))
            parsed = loop.time() + rng.uniform(-faults.skew, faults.skew)
            late = rng.uniform(0, faults.latest) if rng.random() < faults.late else rng.uniform(0.001, 0.1)
            await asyncio.sleep(late)
            for _ in range(2 if rng.random() < faults.twice else 1):
                try:
                    result, error = store.write(method, key, parsed, arguments), None
                except Exception as problem:
                    result, error = None, problem
                if rng.random() < faults.slow:
                    await asyncio.sleep(rng.uniform(0, 1))
                if not answer.done():
                    if result is not None:
                        answer.set_result(result)
                    elif error is not None:
                        answer.set_exception(error)
                await asyncio.sleep(rng.uniform(0.001, 3))

        loop.begin("", carry_out())
        lost_answer = rng.random() < faults.lose
        try:
            async with asyncio.timeout(timeout.total):
                found = await asyncio.shield(answer)
                if lost_answer:
                    await asyncio.sleep(1000)
        except TimeoutError:
            answer.cancel()
            raise ModelUnknown(index, key, arguments.get("value")) from None
        self._seen = max(self._seen, found.index)
        return found

    async def _sent(self, timeout: Timeout) -> None:
        await self._travels(timeout)

    async def _answered(self, timeout: Timeout) -> None:
        await self._travels(timeout)

    async def _travels(self, timeout: Timeout) -> None:
        faults, rng = self._store.faults, self._store.rng
        if rng.random() < faults.lose or ACTOR.get() in faults.cut:
            await asyncio.sleep(timeout.total or 0)
            raise ClusterUnavailable("lost")
        await asyncio.sleep(rng.uniform(0.001, 0.05))


class ModelClient:
    """What the recipes use of a client."""

    def __init__(self, store: Store) -> None:
        self.keys = ModelKeys(store)
        self._parts: WeakSet[Any] = WeakSet()

    def attach(self, part: Any) -> None:
        self._parts.add(part)
