"""What waiting, locking and background work are, for asyncio and for threads: the only pair beside the fast transports.

Each class stands twice, `AsyncX` first. Owns no rule of etcd.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from etcdv2._runtime.event_loop import running_loop
from etcdv2._runtime.handlers import hidden_behind
from etcdv2._runtime.lazy_asyncio import lazy_asyncio
from etcdv2._runtime.waiters import Waiters

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_asyncio

R = TypeVar("R")
A = TypeVar("A")
C = TypeVar("C")
P = ParamSpec("P")

AT_ONCE = 50
"""Of `call_each`."""


async def async_sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def async_checkpoint() -> None:
    """For a call that ends without having waited: let others run, who may be about to cancel its caller.

    Else a caller who repeats such calls in a loop would keep everything else on the event loop from running.
    Raises RuntimeError as `async_check_loop` does.
    """
    running_loop()
    await asyncio.sleep(0)


def checkpoint() -> None:
    """Threads need no help with that."""


def async_gives_way(made: type[C]) -> type[C]:
    """Have the calls of this class let others run when they refuse their arguments, which needs no waiting."""
    for name, call in list(vars(made).items()):
        if not name.startswith("_") and inspect.iscoroutinefunction(call):
            setattr(made, name, _giving_way(call))
    return made


def _giving_way(call: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    @functools.wraps(call)
    async def carry_out(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            try:
                under_way = call(*args, **kwargs)
            finally:
                del args, kwargs  # a password may be among them, and this frame is in the traceback
            return await under_way
        except (TypeError, ValueError):
            await async_checkpoint()
            raise

    return carry_out


def gives_way(made: type[C]) -> type[C]:
    """Threads need none."""
    return made


def async_check_loop() -> None:
    """Raises RuntimeError that says what to do where no event loop of asyncio runs, as in trio."""
    running_loop()


def check_loop() -> None:
    """Threads need none."""


async def async_settle() -> None:
    """Let the loop hand on what the kernel has received until now, through every layer up to whoever waits for it."""
    for _ in range(10):
        await asyncio.sleep(0)


def settle() -> None:
    """Threads read for themselves; what they have not read yet outlasts an `abort`."""


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def async_deadline(moment: float) -> asyncio.Timeout:
    """Ends the block with TimeoutError at `moment` of `time.monotonic`; never when that is infinity."""
    return asyncio.timeout(None if moment == inf else max(0.0, moment - time.monotonic()))


def deadline(moment: float) -> contextlib.nullcontext[None]:
    """A thread cannot be interrupted: this ends nothing. The transport's own limits hold."""
    del moment
    return contextlib.nullcontext()


def async_later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    """Call it then, unless the result's `cancel` comes before."""
    return asyncio.get_running_loop().call_later(seconds, call)


def later(seconds: float, call: Callable[[], None]) -> threading.Timer:
    """In a thread of its own."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


async def async_see_through(work: Awaitable[R], give_up: Callable[[], None]) -> R:
    """Finish `work` even when its caller is cancelled, which calls `give_up`: for what must not stop half-way."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        give_up()
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        raise


def see_through(work: R, give_up: Callable[[], None]) -> R:
    """A thread cannot be cancelled: the work is done."""
    del give_up
    return work


async def async_call_each(calls: Sequence[Callable[[A], Awaitable[None]]], argument: A) -> None:
    """All of them, several at once. Raises the first error, when those begun have ended."""
    for start in range(0, len(calls), AT_ONCE):
        begun = [call(argument) for call in calls[start : start + AT_ONCE]]
        for ended in await asyncio.gather(*begun, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended


def call_each(calls: Sequence[Callable[[A], None]], argument: A) -> None:
    """All of them, one after the other."""
    for call in calls:
        call(argument)


async def async_at_once(count: int, run: Callable[[], Awaitable[None]]) -> None:
    """Carry it out so many times at once. What the first one raises ends the others."""

    async def body() -> None:
        await run()

    running_loop()
    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(body())
    except BaseExceptionGroup as several:
        first = several.exceptions[0]
    if first is not None:
        raise first


def at_once(count: int, run: Callable[[], None]) -> None:
    """Carry it out so many times at once, one of them here; fewer where the system has no more threads.

    What the one here raises is raised at once. The others are to end soon by themselves then.
    """
    errors: list[BaseException] = []

    def body() -> None:
        try:
            run()
        except BaseException as error:
            errors.append(error)

    threads: list[threading.Thread] = []
    with contextlib.suppress(RuntimeError):
        for _ in range(count - 1):
            thread = threading.Thread(target=body, name="etcdv2-at-once", daemon=True)
            thread.start()
            threads.append(thread)
    if count > 0:
        run()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class AsyncPulse:
    """A flag that a waiter sleeps on, at most for a time."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def set(self) -> None:
        """From any thread."""
        self._event.set()
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout: float | None) -> bool:
        """True when it was set; False after `timeout` seconds."""
        self._loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()
        return self._event.is_set()


class Pulse:
    """Unlike `threading.Event` it may be set by the thread that is just using it.

    The garbage collector does that: it ends forgotten watches, in whatever thread and at whatever moment. So may a
    signal handler raise there.
    """

    def __init__(self) -> None:
        self._waiters = Waiters()
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self._waiters.wake()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None) -> bool:
        return self._waiters.wait_for(lambda: self._is_set, timeout)


class AsyncSocketThread:
    """The thread of the event loop that owns the sockets opened here.

    Only there is it certain that a descriptor is still that of the same socket.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def is_here(self) -> bool:
        """Whether this is that thread, or the loop does not run and so closes nothing."""
        if not self._loop.is_running():
            return True
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def call(self, work: Callable[[], None]) -> None:
        """Call it there: now when this is there, else soon. From any thread."""
        if self.is_here():
            work()
            return
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            self._loop.call_soon_threadsafe(work)


class SocketThread:
    """Any thread: a socket that was opened by one may be ended by another."""

    def is_here(self) -> bool:
        return True

    def call(self, work: Callable[[], None]) -> None:
        work()


class AsyncWorker:
    """One background task; `cancel` stops it at its next await."""

    def __init__(self, run: Callable[[], Awaitable[None]], name: str) -> None:
        async def body() -> None:
            await run()

        self._task = asyncio.get_running_loop().create_task(body(), name=name)
        self._loop = asyncio.get_running_loop()

    def cancel(self) -> None:
        """From any thread, also after the loop has ended."""
        if not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)

    async def join(self, timeout: float) -> None:
        """Wait until it has ended; its own errors stay its own."""
        if self._task is not asyncio.current_task() and self._loop is asyncio.get_running_loop():
            await asyncio.wait([self._task], timeout=timeout)


class Worker:
    """One daemon thread. `cancel` cannot stop it: whoever cancels wakes it by its pulse or by aborting its stream.

    Raises RuntimeError where no thread can be started; so does `later`.
    """

    def __init__(self, run: Callable[[], None], name: str) -> None:
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        before = sys.exception()
        try:
            self._thread.start()
        except RuntimeError as error:
            # A lock of Python's own that a signal handler has torn apart says that it is not taken.
            hidden = hidden_behind(error, before)
            if hidden is not None:
                raise hidden from None
            raise

    def cancel(self) -> None:
        pass

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
