"""`watch`: the changes of a key, one a line, for as long as it is wanted.

Owns what a line says, and the file in which a watch keeps how far it has come.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from etcdv2._cli._arguments import count, index
from etcdv2._cli._command import Command, always
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK, Failed, UsageError
from etcdv2._cli._nodes import node_document, walk
from etcdv2._cli._output import Output, shown

if TYPE_CHECKING:
    from etcdv2 import Event, Snapshot, Watcher

ACTION_COLOURS = {"delete": "red", "compareAndDelete": "red", "expire": "yellow", "create": "green"}
ACTION_WIDTH = 7


def recursive_option(parser: ArgumentParser) -> None:
    parser.add_argument("-r", "--recursive", action="store_true", help="all below the key as well")
    parser.add_argument(
        "--after-index", type=count, metavar="N", help="what came after index N; 0 for all that the server still has"
    )


def _options(parser: ArgumentParser) -> None:
    recursive_option(parser)
    parser.add_argument("-n", "--count", type=index, metavar="N", help="end after N events (default: never)")
    parser.add_argument("-f", "--forever", action="store_true", help="accepted as etcdctl does: it is the default")
    parser.add_argument("--snapshot", action="store_true", help="first the state; and again where events were lost")
    parser.add_argument("--resume", metavar="FILE", help="keep the index in this file, and go on from it")
    parser.add_argument("--raw", action="store_true", help="with -o value: no newline behind it")


def watch(context: Context) -> int:
    """Ends by Ctrl-C, after `-n` events, or when the time of --timeout is over."""
    from etcdv2 import DeadlineExceeded

    options, output = context.options, context.output
    output.by_line = True
    if options.snapshot and (options.after_index is not None or options.resume is not None):
        raise UsageError("--snapshot begins with the state as it is: leave --after-index and --resume out")
    place = None if options.resume is None else Place(Path(options.resume))
    after = options.after_index
    if place is not None and (kept := place.read()) is not None:
        after = kept

    changes = Changes(context, context.words[0], snapshots=options.snapshot, after=after, resumed=place is not None)
    seen, first = 0, options.snapshot
    with changes:
        if place is not None and after is None:
            place.write(changes.index)
        while options.count is None or seen < options.count:
            item = changes.next(context.left)
            if item is None:
                raise DeadlineExceeded(f"no event of {context.words[0]} within the time of --timeout")
            if hasattr(item, "action"):
                print_event(output, item, raw=options.raw)
                seen += 1
            else:
                _print_snapshot(output, item, first=first)
                first = False
            if place is not None:
                place.write(item.index)
    return OK


class Changes:
    """The events of a watch; where the server has forgotten some, a snapshot of the state, and the events after it."""

    def __init__(self, context: Context, key: str, *, snapshots: bool, after: int | None, resumed: bool) -> None:
        self._keys = context.client.keys
        self._key = key
        self._recursive = context.options.recursive
        self._may_resync = after is None or resumed
        self._watcher: Watcher[Any] = (
            self._with_snapshots() if snapshots else self._keys.watch(key, recursive=self._recursive, after_index=after)
        )

    def _with_snapshots(self) -> Watcher[Any]:
        return self._keys.watch(self._key, recursive=self._recursive, snapshots=True)

    def __enter__(self) -> Self:
        """Raises what prevents the watch, as an index that the server no longer has."""
        from etcdv2 import HistoryCleared

        try:
            self._watcher.open()
        except HistoryCleared as error:
            self._resync(error)
        return self

    def __exit__(self, *_: object) -> None:
        self._watcher.close()

    @property
    def index(self) -> int:
        return self._watcher.index

    def next(self, timeout: float | None) -> Any:
        """The next event or snapshot; None where the time was over."""
        from etcdv2 import ClusterChanged, HistoryCleared

        try:
            item = self._watcher.next(timeout)
        except (HistoryCleared, ClusterChanged) as error:
            self._resync(error)
            item = self._watcher.next(timeout)
        self._may_resync = self._may_resync or item is not None
        return item

    def _resync(self, error: Exception) -> None:
        """Raises the error where the index was the user's own."""
        if not self._may_resync:
            raise error
        self._watcher.close()
        self._watcher = self._with_snapshots().open()


class Place:
    """How far a watch has come, in a file that is always whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int | None:
        """None where there is no file yet. Raises UsageError for one with something else in it."""
        try:
            text = self._path.read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"--resume {self._path}: {error}") from None
        if not text.isdecimal():
            raise UsageError(f"--resume {self._path}: there is no index in it, but {text[:20]!r}")
        return int(text)

    def write(self, at: int) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temporary.write_text(f"{at}\n")
            temporary.replace(self._path)
        except OSError as error:
            raise Failed(2, f"--resume {self._path}: {error.strerror}") from None


# --- lines -----------------------------------------------------------------------------------------------------------


def event_document(event: Event) -> dict[str, Any]:
    """With the server's names."""
    found: dict[str, Any] = {"action": event.action, "index": event.index, "node": node_document(event.node)}
    if event.prev_node is not None:
        found["prevNode"] = node_document(event.prev_node)
    return found


def print_event(output: Output, event: Event, *, raw: bool = False) -> None:
    """One line; of a deletion what was there."""
    if output.form in ("json", "jsonl"):
        output.document(event_document(event))
    elif output.form in ("key", "name"):
        output.line(event.key)
    elif output.form == "value":
        output.write((event.value or "") + ("" if raw else "\n"))
    else:
        action = event.action.ljust(ACTION_WIDTH)
        output.line(f"{output.paint(action, ACTION_COLOURS.get(event.action, 'blue'))} {_text(event)}")


def _text(event: Event) -> str:
    before = event.prev_node.value if event.prev_node is not None else None
    known = [f"was {shown(before)}"] if before is not None else []
    known.append(f"index {event.index}")
    if event.node.dir:
        return f"{shown(event.key)}/ (directory, index {event.index})"
    value = "" if event.value is None else f" = {shown(event.value)}"
    return f"{shown(event.key)}{value}  ({', '.join(known)})"


def _print_snapshot(output: Output, snapshot: Snapshot, *, first: bool) -> None:
    """The state: a line that says so, and one for each key."""
    nodes = [] if snapshot.node is None else [snapshot.node, *walk(snapshot.node)]
    files = [node for node in nodes if not node.dir]
    action = "state" if first else "resync"
    if output.form in ("json", "jsonl"):
        output.document({"action": action, "index": snapshot.index, "nodes": [node_document(one) for one in files]})
    elif output.form == "human":
        output.line(f"{output.paint(action.ljust(ACTION_WIDTH), 'dim')} index {snapshot.index}, {len(files)} keys")
        for node in files:
            output.line(f"{' ' * ACTION_WIDTH} {shown(node.key)} = {shown(node.value or '')}")
    else:
        for node in files:
            output.line(node.key if output.form in ("key", "name") else node.value or "")


WATCH = Command(
    watch,
    "KEY",
    _options,
    words=(1, 1),
    formats=("human", "value", "key", "json", "jsonl", "name"),
    about="Print each change of a key, for ever. A deleted directory above it is a change of it, too. Outages are "
    "endured. Where the server has forgotten changes, `resync` and the state are printed, and it goes on; where it has "
    "forgotten what came after --after-index, the code is 11. --timeout ends it with code 10.",
    endless=always,
)
