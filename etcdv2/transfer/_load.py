"""A tree written into a cluster.

Owns the order in time: directories one after the other, parents first; then keys, so many at a time; then
what is pruned. What is written, and under which condition, is `_plan`'s. It stops at the first error and can
be called again: what is there and equal is left as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from etcdv2 import Client, CompareFailed, KeyExists, KeyNotFound
from etcdv2.transfer._online import read_tree
from etcdv2.transfer._plan import TTL, If, Plan, Skipped, Step, moved, plan
from etcdv2.transfer._text import is_exact
from etcdv2.transfer._tree import Tree, tree_from


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `load` has done, or would do."""

    done: tuple[Step, ...]
    skipped: tuple[Skipped, ...]
    raced: tuple[str, ...]
    """Keys that somebody else wrote meanwhile; they were left as they are. Load again."""


def load(
    client: Client,
    tree: Tree,
    *,
    root: str | None = None,
    if_: If = "absent",
    ttl: TTL = "remaining",
    prune: bool = False,
    dry_run: bool = False,
    concurrency: int = 8,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Loaded:
    """Write a tree into a cluster. Nothing is overwritten unless `if_` says so.

    root: below which directory, in place of the tree's own. if_: `absent` writes only what is not there;
        `changed` also what differs, where it is still as it was read; `always` everything, whatever is
        there. ttl: keys that expire get what `remaining` says, the seconds that they had in the
        `original` when it was read, or `drop` it. What has expired by now is skipped with `remaining`.
    prune: delete below the root what the tree does not have. Hidden nodes are seen only where the tree has
        such ones. dry_run: only say what would be done. concurrency: writes at a time. progress: called
        with the number of writes done and of all, from the thread of the caller.

    Indexes cannot be carried over, nor what is no UTF-8 (`skipped`); users and roles are not written.
    Raises TransferError where the tree cannot be moved to the root, and the errors of a call; what was
    done before stays.
    """
    wanted = moved(tree, root=root)
    there = _there(client, wanted)
    found = plan(wanted, there, if_=if_, ttl=ttl, prune=prune, now=time.time_ns())
    if dry_run:
        return Loaded(found.steps, found.skipped, ())
    return _carry_out(client, found, concurrency, progress)


def _there(client: Client, wanted: Tree) -> Tree:
    """What the cluster has below the root, and at the hidden nodes of the tree."""
    hidden = [node.key for node in wanted if node.key.rpartition("/")[2].startswith("_") and is_exact(node.key)]
    try:
        return read_tree(client, wanted.root, hidden=hidden)
    except KeyNotFound:
        return tree_from([], root=wanted.root)


def _carry_out(client: Client, found: Plan, concurrency: int, progress: Callable[[int, int], object]) -> Loaded:
    done: list[Step] = []
    raced: list[str] = []

    def note(step: Step, came: bool) -> None:
        if came:
            done.append(step)
        else:
            raced.append(step.key)
        progress(len(done) + len(raced), len(found.steps))

    # 1. Directories, and what has to go before something else can be there: in their order.
    parallel = [step for step in found.steps if step.action == "set"]
    pruned = _trailing_deletions(found.steps)
    for step in found.steps:
        if step.action != "set" and step not in pruned:
            note(step, do_step(client, step))

    # 2. Keys.
    _at_once(client, parallel, concurrency, note)

    # 3. What is pruned.
    for step in found.steps:
        if step in pruned:
            note(step, do_step(client, step))
    return Loaded(tuple(done), found.skipped, tuple(raced))


def _trailing_deletions(steps: Iterable[Step]) -> set[Step]:
    """Deletions that make room for nothing."""
    written = {step.key for step in steps if step.action in ("set", "make-dir")}
    return {step for step in steps if step.action.startswith("delete") and step.key not in written}


def _at_once(client: Client, steps: list[Step], concurrency: int, note: Callable[[Step, bool], None]) -> None:
    """After an error none is begun any more, and those under way are waited for."""
    work = iter(steps)
    with ThreadPoolExecutor(concurrency) as pool:
        running = {pool.submit(do_step, client, step): step for step in islice(work, concurrency)}
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for one in ended:
                note(running.pop(one), one.result())
                if (following := next(work, None)) is not None:
                    running[pool.submit(do_step, client, following)] = following


def do_step(client: Client, step: Step) -> bool:
    """Whether it could be done; False where somebody else was there meanwhile."""
    keys = client.keys
    try:
        if step.action == "make-dir":
            keys.make_dir(step.key, ttl=step.ttl, exist_ok=True)
        elif step.action == "delete-dir":
            keys.delete(step.key, recursive=True, missing_ok=True)
        elif step.action == "delete":
            keys.delete(step.key, prev_index=step.prev_index)
        elif step.unconditional:
            keys.set(step.key, step.value, ttl=step.ttl)
        elif step.prev_index is None:
            keys.create(step.key, step.value, ttl=step.ttl)
        else:
            keys.set(step.key, step.value, ttl=step.ttl, prev_index=step.prev_index)
    except (CompareFailed, KeyExists, KeyNotFound):
        return False
    return True
