"""A tree written into a cluster.

Owns the order in time. What is written, and under which condition, is `_plan`'s; what goes before what, `_load`'s. It
stops at the first error and can be called again: what is there and equal is left as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from etcdv2 import AsyncClient, CompareFailed, KeyExists, KeyNotFound
from etcdv2._runtime.spread import async_spread
from etcdv2.transfer._async.online import async_tree_within
from etcdv2.transfer._limit import Limit
from etcdv2.transfer._load import (
    Loaded,
    hidden_keys,
    raw_node,
    raw_path,
    raw_request,
    raw_written,
    stages,
    ttl_of,
    uncertain_keys,
    with_uncertain,
)
from etcdv2.transfer._plan import TTL, If, Plan, Skipped, Step, below, moved, plan
from etcdv2.transfer._text import is_exact
from etcdv2.transfer._tree import DumpNode, Tree, tree_from


async def async_load(
    client: AsyncClient,
    tree: Tree,
    *,
    root: str | None = None,
    strip: str | None = None,
    if_: If = "absent",
    ttl: TTL = "remaining",
    prune: bool = False,
    dry_run: bool = False,
    concurrency: int = 8,
    progress: Callable[[int, int], object] = lambda done, total: None,
    timeout: float | None = None,
) -> Loaded:
    """Write a tree into a cluster. Nothing is overwritten unless `if_` says so.

    root: below which directory, in place of the tree's own. strip: only what is below this directory, whose name
        the keys lose: with `strip="/app"` and `root="/x"` `/app/a` becomes `/x/a`.
    if_: `absent` writes only what is not there; `changed` also what differs, where it is still as it was
        read; `always` everything, whatever is there.
    ttl: keys that expire get what `remaining` says when they are written, the seconds that they had in
        the `original` when it was read, or `drop` it. What has expired by then is skipped with `remaining`.
    prune: delete below the root what the tree does not have. Hidden nodes are seen only where the tree has
        such ones. dry_run: only say what would be done. concurrency: writes at a time, 1 or more.
    progress: called with the number of writes done and of all, from the thread of the caller. timeout: seconds
        for all of it, as of `read_tree`.

    Keys and values arrive byte by byte. Indexes cannot be carried over; users and roles are not written: etcd
    takes passwords over HTTP, and no hashes of them.
    Raises TransferError where the tree cannot be moved to the root, DeadlineExceeded, and the errors of a call; what
    was done before stays.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency {concurrency}: must be at least 1")
    limit = Limit(timeout)
    part, elsewhere = below(tree, strip)
    wanted = moved(part, root=root)
    there, unnamed = await _there(client, wanted, limit)
    found = plan(wanted, there, if_=if_, ttl=ttl, prune=prune, now=time.time_ns())
    found = Plan(found.steps, (*elsewhere, *found.skipped, *(unnamed if prune else ())))
    if dry_run:
        return Loaded(found.steps, found.skipped, ())
    return await _carry_out(client, found, concurrency, progress, limit)


async def _there(client: AsyncClient, wanted: Tree, limit: Limit) -> tuple[Tree, tuple[Skipped, ...]]:
    """What the cluster has below the root, and at the hidden nodes of the tree; and what cannot be named of it."""
    try:
        listed = await async_tree_within(client, wanted.root, hidden_keys(wanted), False, limit)
    except KeyNotFound:
        listed = tree_from([], root=wanted.root)

    found: dict[str, DumpNode | None] = {}
    for key in uncertain_keys(wanted):
        answer = await client.raw.send("GET", raw_path(key), query=[("quorum", "true")], **limit.call())
        found[key] = raw_node(key, answer.status, answer.body)
    return with_uncertain(listed, found)


async def _carry_out(
    client: AsyncClient, found: Plan, concurrency: int, progress: Callable[[int, int], object], limit: Limit
) -> Loaded:
    done: list[Step] = []
    raced: list[str] = []
    expired: list[Skipped] = []

    async def act(step: Step) -> bool | None:
        return await async_do_step(client, step, limit)

    def note(step: Step, came: bool | None) -> None:
        if came:
            done.append(step)
        elif came is None:
            expired.append(Skipped(step.key, "expired"))
        else:
            raced.append(step.key)
        progress(len(done) + len(raced) + len(expired), len(found.steps))

    for steps in stages(found):
        await async_spread(steps, min(concurrency, len(steps)), act, note)
    return Loaded(tuple(done), (*found.skipped, *expired), tuple(raced))


async def async_do_step(client: AsyncClient, step: Step, limit: Limit) -> bool | None:
    """Whether it could be done; False where somebody else was there meanwhile, None for what has expired by now."""
    keys, ttl, within = client.keys, ttl_of(step, time.time_ns()), limit.call()
    if ttl is not None and ttl < 1:
        return None
    if not is_exact(step.key + step.value):
        method, query, form = raw_request(step, ttl)
        answer = await client.raw.send(method, raw_path(step.key), query=query, form=form, **within)
        missing_ok = step.action == "delete-dir" and answer.status == 404
        return missing_ok or raw_written(answer.status, answer.body)

    try:
        if step.action == "make-dir":
            await keys.make_dir(step.key, ttl=ttl, exist_ok=True, **within)
        elif step.action == "delete-dir":
            await keys.delete(step.key, recursive=True, missing_ok=True, **within)
        elif step.action == "delete":
            await keys.delete(step.key, prev_index=step.prev_index, **within)
        elif step.unconditional:
            await keys.set(step.key, step.value, ttl=ttl, **within)
        elif step.prev_index is None:
            await keys.create(step.key, step.value, ttl=ttl, **within)
        else:
            await keys.set(step.key, step.value, ttl=ttl, prev_index=step.prev_index, **within)
    except (CompareFailed, KeyExists, KeyNotFound):
        return False
    return True
