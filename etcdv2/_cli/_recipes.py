"""`lock` and `elect`: held for as long as this program, or the one that it runs, goes on.

Owns what happens at the end of either: a key that is lost ends the program, and a program that ends gives up the key.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from etcdv2._cli._apart import TICK_SECONDS, apart
from etcdv2._cli._arguments import duration, ttl
from etcdv2._cli._command import Command, always
from etcdv2._cli._context import Context
from etcdv2._cli._failures import LOCK_LOST, NO, OK, Failed, UsageError
from etcdv2._cli._processes import Process

if TYPE_CHECKING:
    from etcdv2.recipes import Leader, Lease, Session

DEFAULT_TTL = 10

L = TypeVar("L", bound="Lease")


def _lock_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--ttl",
        type=ttl,
        default=DEFAULT_TTL,
        metavar="S",
        help="seconds after which a dead holder has lost it",
    )
    parser.add_argument("--wait", type=duration, metavar="S", help="give up after S, with code 20 (default: never)")


def _session(context: Context) -> Session:
    """Closed with the command, and so everything is released."""
    from etcdv2.recipes import Session

    return context.stack.enter_context(Session(context.client, ttl=context.options.ttl))


def _acquired(context: Context, acquire: Callable[[], L], cancel: Callable[[], object]) -> L:
    """Whatever interrupts it: once it is known what was written, that is deleted with the session."""
    lease = apart(acquire, cancel)
    context.stack.enter_context(lease)
    return lease


def hold_lock(context: Context) -> int:
    """Holds it until Ctrl-C, or until CMD has ended."""
    session = _session(context)
    lock = session.lock(context.words[0])
    acquire = partial(lock.acquire, timeout=context.options.wait)
    lease = _acquired(context, acquire, lock.cancel)
    if context.behind:
        return _run_under(context, lease, {"ETCDV2_LOCK_TOKEN": str(lease.token), "ETCDV2_LOCK_KEY": lease.key})
    if context.output.for_programs:
        context.output.document({"key": lease.key, "token": lease.token})
    else:
        context.output.line(f"{lease.key} token {lease.token}")
    return _hold(context, lease)


def _elect_options(parser: ArgumentParser) -> None:
    _lock_options(parser)
    parser.add_argument("-l", "--listen", action="store_true", help="print who leads, and each change of it")


def elect(context: Context) -> int:
    """Stands for election with VALUE and leads until Ctrl-C, or until CMD has ended; or listens."""
    session = _session(context)
    election = session.election(context.words[0])
    if context.options.listen:
        if len(context.words) > 1 or context.behind:
            raise UsageError("--listen takes the name only")
        return _listen(context, election)
    if len(context.words) < 2:
        raise UsageError("VALUE is missing: what others see of the leader, as this host's name")

    campaign = partial(election.campaign, context.words[1], timeout=context.options.wait)
    leadership = _acquired(context, campaign, lambda: None)
    _print_leader(context, leadership.value, leadership.token, to_stderr=bool(context.behind))
    if context.behind:
        known = {"ETCDV2_LEADER_TOKEN": str(leadership.token), "ETCDV2_LEADER_KEY": leadership.key}
        return _run_under(context, leadership, known)
    return _hold(context, leadership)


def _listen(context: Context, election: Any) -> int:
    context.output.by_line = True
    with election.observe() as observer:
        while observer.next():
            leader: Leader | None = observer.leader
            if leader is None and not context.output.for_programs:
                context.output.line("leader: none")
            elif leader is None:
                context.output.document({"leader": None})
            else:
                _print_leader(context, leader.value, leader.token)
    return NO


def _print_leader(context: Context, value: str, token: int, *, to_stderr: bool = False) -> None:
    text = f"leader: {value} (token {token})"
    if to_stderr:
        context.verbose(text)
    elif context.output.for_programs:
        context.output.document({"leader": value, "token": token})
    else:
        context.output.line(text)


def _hold(context: Context, lease: Lease) -> int:
    """Until a signal comes. Raises Failed when it is lost."""
    sys.stdout.flush()
    while not lease.lost.wait(TICK_SECONDS):
        pass
    raise Failed(LOCK_LOST, f"{lease.key} is held no more")


def _run_under(context: Context, lease: Lease, environ: dict[str, str]) -> int:
    """CMD's exit code. Raises Failed when the lease is lost, after CMD was ended."""
    started: list[Process] = []
    try:
        apart(lambda: started.append(Process(context.behind, environ)))
        while (code := started[0].wait(TICK_SECONDS)) is None:
            if lease.lost.is_set():
                started[0].end()
                raise Failed(LOCK_LOST, f"{lease.key} is held no more: {context.behind[0]} was ended")
    except KeyboardInterrupt:
        # The program got it too, from the terminal: it has the time to end by itself.
        for process in started:
            process.wait(5)
        raise
    finally:
        for process in started:
            process.end()
    return code or OK


LOCK = Command(
    hold_lock,
    "NAME [-- CMD...]",
    _lock_options,
    words=(1, 1),
    formats=("human", "json", "jsonl"),
    about="Hold a lock until Ctrl-C, or while CMD runs: CMD has ETCDV2_LOCK_TOKEN in its environment, which grows from "
    "holder to holder, and its exit code is that of the command. When the lock is lost CMD gets SIGTERM, after 5 "
    "seconds SIGKILL, and the code is 20. SIGTERM, SIGHUP and Ctrl-C release the lock. Without --wait it is waited for "
    "without end; --timeout is the time for all of it: then CMD is ended, the lock released, and the code is 10.",
    takes_command=True,
    endless=always,
    alarm=True,
)
ELECT = Command(
    elect,
    "NAME [VALUE] [-- CMD...]",
    _elect_options,
    words=(1, 2),
    formats=("human", "json", "jsonl"),
    about="Stand for election with a VALUE of your own and lead until Ctrl-C, or while CMD runs. With -l print who "
    "leads, and each change. The rest is as for a lock.",
    takes_command=True,
    endless=always,
    alarm=True,
)
