"""`exec-watch`: a program for each change of a key, or for what changed within a while.

Owns the order in which programs run, and what they are told.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from etcdv2._cli._apart import apart
from etcdv2._cli._arguments import count
from etcdv2._cli._command import Command, always
from etcdv2._cli._context import Context
from etcdv2._cli._failures import Failed
from etcdv2._cli._output import compact
from etcdv2._cli._processes import Process, needed_command
from etcdv2._cli._watch import Changes, event_document, recursive_option

if TYPE_CHECKING:
    from etcdv2 import Event

TICK_SECONDS = 0.1
"""How often it is looked whether a program has ended while events are waited for."""


def _options(parser: ArgumentParser) -> None:
    recursive_option(parser)
    parser.add_argument(
        "--debounce", type=count, default=0, metavar="MS", help="one run for all that comes within MS after the first"
    )
    parser.add_argument(
        "--overlap",
        choices=("queue", "restart", "skip"),
        default="queue",
        help="while CMD runs: wait for its end (the default), end it, or leave the event out",
    )
    parser.add_argument("--initial", action="store_true", help="run once at the beginning, with the action `get`")
    parser.add_argument("--exit", action="store_true", help="end with CMD's exit code when that is not 0")


class Runner:
    """The program, of which one runs at a time."""

    def __init__(self, context: Context, words: list[str]) -> None:
        self._context = context
        self._words = words
        self._process: Process | None = None

    def run(self, events: list[Any]) -> None:
        """Start it for these events. Raises Failed where it cannot be, or for --exit the last one failed."""
        overlap = self._context.options.overlap
        if self._process is not None:
            if overlap == "skip" and self._process.running:
                self._context.verbose(f"{self._words[0]} still runs: index {events[-1].index} is left out")
                return
            if overlap == "restart" and self._process.running:
                self._process.end()
                self._process = None
            else:
                self._ended(self._process.wait())
        stdin = None
        if self._context.options.debounce:
            changes = [event for event in events if hasattr(event, "action")]
            stdin = "".join(compact(event_document(event)) + "\n" for event in changes)
        apart(lambda: self._start(events, stdin))

    def _start(self, events: list[Any], stdin: str | None) -> None:
        self._process = Process(self._words, environment_of(events), stdin)

    def look(self) -> None:
        """Notice that it has ended. Raises Failed for --exit."""
        if self._process is not None and not self._process.running:
            process, self._process = self._process, None
            self._ended(process.wait())

    def _ended(self, code: int | None) -> None:
        if code and self._context.options.exit:
            raise Failed(code, f"{self._words[0]} ended with exit code {code}")
        if code:
            self._context.verbose(f"{self._words[0]} ended with exit code {code}")

    def end(self) -> None:
        """End what runs."""
        if self._process is not None and self._process.running:
            self._process.end()


def exec_watch(context: Context) -> int:
    words, options = needed_command(context), context.options
    runner = Runner(context, words)
    context.stack.callback(runner.end)
    after = options.after_index
    with Changes(context, context.words[0], snapshots=options.initial, after=after, resumed=False) as changes:
        while True:
            runner.run(_batch(changes, runner, options.debounce / 1000))


def _batch(changes: Changes, runner: Runner, debounce: float) -> list[Any]:
    """The next events: one, or with a debounce those that come within it."""
    found: list[Any] = []
    ends: float | None = None
    while ends is None or time.monotonic() < ends:
        item = changes.next(TICK_SECONDS if ends is None else max(0.0, ends - time.monotonic()))
        runner.look()
        if item is not None:
            found.append(item)
            if not debounce:
                break
            ends = time.monotonic() + debounce if ends is None else ends
    return found


def environment_of(events: list[Event]) -> dict[str, str]:
    """Of the last event, in the variables that etcdctl has, and three more. A state has the action `get`."""
    last = events[-1]
    if not hasattr(last, "action"):
        return _of_snapshot(last)
    value = last.value or ""
    before = "" if last.prev_node is None else last.prev_node.value or ""
    return {
        "ETCD_WATCH_ACTION": last.action,
        "ETCD_WATCH_KEY": last.key,
        "ETCD_WATCH_VALUE": value,
        "ETCD_WATCH_MODIFIED_INDEX": str(last.index),
        "ETCD_WATCH_PREV_VALUE": before,
        "ETCD_WATCH_DIR": "1" if last.node.dir else "",
        "ETCD_WATCH_COUNT": str(len(events)),
    }


def _of_snapshot(snapshot: Any) -> dict[str, str]:
    node = snapshot.node
    return {
        "ETCD_WATCH_ACTION": "get",
        "ETCD_WATCH_KEY": "" if node is None else node.key,
        "ETCD_WATCH_VALUE": "" if node is None else node.value or "",
        "ETCD_WATCH_MODIFIED_INDEX": str(snapshot.index),
        "ETCD_WATCH_PREV_VALUE": "",
        "ETCD_WATCH_DIR": "1" if node is not None and node.dir else "",
        "ETCD_WATCH_COUNT": "1",
    }


EXEC_WATCH = Command(
    exec_watch,
    "KEY -- CMD...",
    _options,
    words=(1, 1),
    about="Run CMD for each change of a key, with ETCD_WATCH_ACTION, _KEY, _VALUE, _MODIFIED_INDEX, _PREV_VALUE, _DIR "
    "and _COUNT in its environment; with --debounce the changes are on its stdin as JSON, one a line. "
    "--timeout ends it, and CMD, with code 10.",
    takes_command=True,
    endless=always,
    alarm=True,
)
