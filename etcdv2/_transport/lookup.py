"""Looking up hosts: for how long, by how many threads, and what to do when no answer comes.

Owns the threads that ask (a resolver has no time limit, so its callers do not wait for it longer
than they want) and what was answered last. One look-up of a name serves all who want it, so a
resolver that hangs holds a few threads, not one for each attempt; and none of them holds up the end
of the program or of an event loop.
"""

from __future__ import annotations

import _socket
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from etcdv2._runtime.errors import fresh
from etcdv2._runtime.forks import register_after_fork
from etcdv2._runtime.handlers import of_handler
from etcdv2._runtime.lazy_asyncio import lazy_asyncio
from etcdv2._transport.failures import Aborted, LimitReached

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_asyncio

logger = logging.getLogger("etcdv2")

ASK_AGAIN_SECONDS: Final = 1.0
"""A look-up that is wanted is begun once more when the last one has hung for so long, so that a
resolver which is well again is found.
"""
FEW_THREADS: Final = 8
"""Beside more of them that hang, twice that time has to pass, and so on: after an hour these are 19."""
LONGEST_WAIT_SECONDS: Final = 5.0
"""For a name whose last addresses are known; or half of the time to connect, where that is shorter."""
_REMEMBERED_NAMES: Final = 1000
_LONGEST_WAIT = 86400.0

Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
Answer: TypeAlias = Any
"""What was found, or the exception."""
_Key: TypeAlias = tuple[str, int]


class _Asked:
    """One name that is being looked up."""

    __slots__ = ("began", "hanging", "number", "waiting")

    def __init__(self) -> None:
        self.hanging = 0
        """Threads that have not been answered yet."""
        self.number = 0
        """Of the youngest of them."""
        self.began = 0.0
        """When that one has begun."""
        self.waiting: list[Callable[[Answer], None]] = []


class Resolver:
    """Look-ups of this process. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[_Key, _Asked] = {}
        self._last: dict[_Key, Any] = {}
        register_after_fork(self)

    def __repr__(self) -> str:
        hanging = sum(asked.hanging for asked in list(self._asked.values()))
        return f"<Resolver: {hanging} threads ask for {len(self._asked)} names, {len(self._last)} are known>"

    def ask(self, key: _Key, work: Callable[[], Any], deliver: Callable[[Answer], None]) -> None:
        """Have `deliver` called with the result of `work` or its error, in some thread.

        The same for all who ask for this `key` meanwhile. Raises OSError where no thread can be
        started.
        """
        with self._lock:
            asked = self._asked.setdefault(key, _Asked())
            asked.waiting.append(deliver)
            now = monotonic()
            if asked.hanging and now - asked.began < _pause(asked.hanging):
                return
            asked.hanging += 1
            asked.number += 1
            asked.began = now
            number = asked.number

        try:
            threading.Thread(target=self._look_up, args=(key, work, number), name="etcdv2-lookup", daemon=True).start()
        except RuntimeError as error:
            refused = OSError(f"the name cannot be looked up: {error}")
            self._answered(key, number, refused)
            raise refused from error

    def leave(self, key: _Key, deliver: Callable[[Answer], None]) -> None:
        """Nobody waits there any more."""
        with self._lock:
            asked = self._asked.get(key)
            if asked is not None and deliver in asked.waiting:
                asked.waiting.remove(deliver)

    def last(self, key: _Key) -> Any:
        """What was answered last; None when there was nothing."""
        return self._last.get(key)

    def forget(self) -> None:
        """What was answered last: for tests."""
        self._last.clear()

    def after_fork(self) -> None:
        """In a forked child: the threads are the parent's."""
        self._lock = threading.Lock()
        self._asked = {}

    def _look_up(self, key: _Key, work: Callable[[], Any], number: int) -> None:
        answer: Answer
        try:
            answer = work()
        except OSError as error:
            answer = error
        except Exception as error:  # somebody's own resolver may raise what it likes
            answer = OSError(f"{type(error).__name__}: {error}")
        self._answered(key, number, answer)

    def _answered(self, key: _Key, number: int, answer: Answer) -> None:
        with self._lock:
            asked = self._asked.get(key)
            if asked is None:
                return
            asked.hanging -= 1

            # 1. A failure of one that was given up on is no news, as long as a younger one may do better.
            waiting: list[Callable[[Answer], None]] = []
            if not isinstance(answer, BaseException) or not asked.hanging or number == asked.number:
                waiting, asked.waiting = asked.waiting, []
            if not asked.hanging:
                del self._asked[key]

            # 2. What is known, the newest last.
            if not isinstance(answer, BaseException):
                self._last.pop(key, None)
                self._last[key] = answer
                while len(self._last) > _REMEMBERED_NAMES:
                    del self._last[next(iter(self._last))]

        for deliver in waiting:
            deliver(fresh(answer) if isinstance(answer, BaseException) else answer)


resolver: Final = Resolver()


def numeric(host: str, port: int) -> Sequence[Address] | None:
    """The address that the host is; None when it is a name, or none at all."""
    if ":" not in host and not host.replace(".", "").isdigit():
        return None
    try:
        # Not `socket.getaddrinfo`, whose making of enums swallows a ValueError that a signal handler raises meanwhile.
        found: Any = _socket.getaddrinfo(_bytes(host), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError) as error:
        if of_handler(error) is not None:
            raise
        return None
    addresses: Sequence[Address] = found
    return addresses


class Lookup:
    """Of a name, begun with this. Raises OSError where no thread can be started."""

    __slots__ = ("_answers", "_deliver", "_key")

    def __init__(self, key: _Key, work: Callable[[], Any] | None = None) -> None:
        """`key`: host and port; or anything else, with what is to be done instead of looking them up."""
        self._key = key
        self._answers = SimpleQueue[Answer]()
        self._deliver: Callable[[Answer], None] = self._answers.put
        resolver.ask(key, work or partial(_addresses, *key), self._deliver)

    def abort(self) -> None:
        """From any thread: `result` raises Aborted, unless it has its answer."""
        self._answers.put(Aborted())

    def result(self, ends: float) -> Any:
        """What is found; what was answered last, where no answer comes.

        Raises OSError for a name that is not known, LimitReached at that moment.
        """
        wait = _wait(self._key, ends)
        try:
            found: Answer = self._answers.get(timeout=min(wait, _LONGEST_WAIT))
        except Empty:
            found = LimitReached(f"looking up {self._key[0]}")
        finally:
            resolver.leave(self._key, self._deliver)
        if isinstance(found, Aborted):
            raise found
        return _usable(self._key, found)


def look_up(host: str, port: int, ends: float) -> Sequence[Address]:
    """The addresses of a host, by that moment of `time.monotonic`. Raises OSError, LimitReached."""
    found = numeric(host, port)
    if found is not None:
        return found
    addresses: Sequence[Address] = Lookup((host, port)).result(ends)
    return addresses


async def async_look_up(host: str, port: int, ends: float) -> Sequence[Address]:
    """As `look_up`; it uses no thread of the event loop's."""
    found = numeric(host, port)
    if found is not None:
        return found
    addresses: Sequence[Address] = await async_answer((host, port), partial(_addresses, host, port), ends)
    return addresses


def wait_for_answer(key: _Key, work: Callable[[], Any], ends: float) -> Any:
    """The result of `work`, which is done once for all who ask for this `key` meanwhile; or the last result, where
    none comes. Raises OSError, LimitReached.
    """
    return Lookup(key, work).result(ends)


async def async_answer(key: _Key, work: Callable[[], Any], ends: float) -> Any:
    """As `wait_for_answer`."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()

    def deliver(answer: Answer) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, answer)

    def settle(answer: Answer) -> None:
        if not answered.done():
            answered.set_result(answer)

    resolver.ask(key, work, deliver)
    wait = _wait(key, ends)
    try:
        await asyncio.wait([answered], timeout=None if wait == inf else wait)
    finally:
        resolver.leave(key, deliver)
    return _usable(key, answered.result() if answered.done() else LimitReached(f"looking up {key[0]}"))


def _addresses(host: str, port: int) -> Sequence[Address]:
    try:
        return socket.getaddrinfo(_bytes(host), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(str(error)) from error


def _pause(hanging: int) -> float:
    """Seconds between two look-ups of a name, when so many hang."""
    return float(ASK_AGAIN_SECONDS * 2 ** max(0, hanging - FEW_THREADS))


def _wait(key: _Key, ends: float) -> float:
    """Seconds to wait for an answer: not all of them, where there is something to go on with."""
    left = max(ends - monotonic(), 0.0)
    return left if resolver.last(key) is None else min(left / 2, LONGEST_WAIT_SECONDS)


def _usable(key: _Key, answer: Answer) -> Any:
    """The answer, or what was answered last. Raises the answer when there is nothing else."""
    if not isinstance(answer, BaseException):
        return answer
    last = resolver.last(key)
    if last is None:
        raise answer
    logger.info("%s cannot be looked up (%s); the last answer is used", key[0], answer)
    return last


def _bytes(host: str) -> bytes:
    """For a str Python imports a codec, which a child that is forked meanwhile would wait for
    without end.
    """
    return host.encode("ascii")
