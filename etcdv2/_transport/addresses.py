"""Connecting to a host that has several addresses: which of them, and for how long.

Owns the order and the time of each; how a connection is made comes from outside.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from etcdv2._runtime.handlers import of_handler
from etcdv2._runtime.lazy_asyncio import lazy_asyncio
from etcdv2._transport.lookup import Address

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_asyncio

Made = TypeVar("Made")

NEXT_ADDRESS_SECONDS: Final = 0.25
"""An address that is silent for so long does not keep the next one from being tried beside it (RFC
8305, "Happy Eyeballs").
"""


async def async_first_of(
    addresses: Sequence[Address],
    ends: float,
    connect: Callable[[Address, float], Awaitable[Made]],
    discard: Callable[[Made], Awaitable[None]],
    failures: tuple[type[Exception], ...] = (OSError,),
) -> Made:
    """The first connection that is there, of tries that begin one after the other.

    Each has until `ends`. The next one begins when one has failed, and 0.25 s after the last one has
    begun. Raises what the last one to fail has raised; `discard` ends what came too late.
    """
    del failures
    if len(addresses) == 1:
        return await connect(addresses[0], ends)

    waiting = _by_turns(addresses)
    running: set[asyncio.Future[Made]] = set()
    error: BaseException = OSError("the name has no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(connect(waiting.pop(0), ends)))
            pause = NEXT_ADDRESS_SECONDS if waiting else None
            ended, _ = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                running.discard(one)
                failed = one.exception()
                if failed is None:
                    running |= ended - {one}
                    return one.result()
                error = failed
        raise error
    finally:
        await _end(running, discard)


async def _end(running: set[asyncio.Future[Made]], discard: Callable[[Made], Awaitable[None]]) -> None:
    for one in running:
        one.cancel()
    if running:
        await asyncio.wait(running)
    for one in running:
        if not one.cancelled() and one.exception() is None:
            await discard(one.result())


def first_of(
    addresses: Sequence[Address],
    ends: float,
    connect: Callable[[Address, float], Made],
    discard: Callable[[Made], None] | None = None,
    failures: tuple[type[Exception], ...] = (OSError,),
) -> Made:
    """The first connection that can be made, of tries one after the other.

    Each has its share of the time. After one of `failures` the next one is tried; raises what the
    last one has raised.
    """
    del discard
    error: Exception | None = None
    for position, address in enumerate(addresses):
        now = monotonic()
        try:
            return connect(address, now + (ends - now) / (len(addresses) - position))
        except failures as failed:
            if of_handler(failed) is not None:
                raise
            error = failed
    raise error or OSError("the name has no address")


def numeric_host(address: Address) -> str:
    """The address itself as a host that can be looked up; with its zone, where it holds on one link only."""
    host: str = address[4][0]
    scope: int = address[4][3] if address[0] == socket.AF_INET6 else 0
    return f"{host}%{scope}" if scope and "%" not in host else host


async def async_connected(address: Address, ends: float) -> socket.socket:
    """A socket of the running loop that is connected. Whoever calls keeps the time."""
    del ends
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await _connect(asyncio.get_running_loop(), sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def async_close(sock: socket.socket) -> None:
    sock.close()


async def _connect(loop: asyncio.AbstractEventLoop, sock: socket.socket, where: object) -> None:
    # The loop's own sock_connect looks the address up again: uvloop always, asyncio where it has a zone.
    try:
        sock.connect(where)  # type: ignore[arg-type]  # of the family of the socket
    except (BlockingIOError, InterruptedError):
        pass
    else:
        return

    writable = loop.create_future()
    try:
        loop.add_writer(sock.fileno(), _wake, writable)
    except NotImplementedError:  # Windows
        await loop.sock_connect(sock, where)  # type: ignore[arg-type]
        return
    try:
        await writable
    finally:
        loop.remove_writer(sock.fileno())
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _wake(writable: asyncio.Future[None]) -> None:
    if not writable.done():
        writable.set_result(None)


def _by_turns(addresses: Sequence[Address]) -> list[Address]:
    """The families take turns, in the order in which the resolver had them."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for turn in zip_longest(*families.values()) for address in turn if address is not None]
