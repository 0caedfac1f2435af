"""Several questions asked at once, and how many of their answers are waited for: for asyncio and for threads.

Owns no rule of etcd.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar, cast

from etcdv2._runtime.lazy_asyncio import lazy_asyncio

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_asyncio

R = TypeVar("R")


async def async_first_of(asks: Sequence[Callable[[], Awaitable[R]]], enough: Callable[[R], bool]) -> list[R]:
    """Ask all at once. What came, in the order of `asks`: until one of them is enough, or all have answered.

    Those that are not waited for any more are cancelled. Raises the first error.
    """
    tasks = [asyncio.ensure_future(ask()) for ask in asks]
    try:
        waiting = set(tasks)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if any(enough(task.result()) for task in done):
                break
        return [task.result() for task in tasks if task.done()]
    finally:
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def first_of(asks: Sequence[Callable[[], R]], enough: Callable[[R], bool]) -> list[R]:
    """Each in a daemon thread of its own, which ends by its own limits; here where none can be started."""
    if len(asks) == 1:
        return [asks[0]()]
    came: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()

    def carry_out(number: int) -> None:
        try:
            came.put((number, asks[number](), None))
        except BaseException as error:  # raised where it is waited for
            came.put((number, None, error))

    for number in range(len(asks)):
        try:
            threading.Thread(target=carry_out, args=(number,), name="etcdv2-ask", daemon=True).start()
        except RuntimeError:
            carry_out(number)

    # In the order in which they come.
    found: dict[int, R] = {}
    while len(found) < len(asks):
        number, answer, error = came.get()
        if error is not None:
            raise error
        found[number] = cast(R, answer)
        if enough(found[number]):
            break
    return [found[number] for number in sorted(found)]
