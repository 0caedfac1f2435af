"""`keys.resolve`: what it answers for writes that a real server applied, did not, or applied later; never wrongly."""

from __future__ import annotations

import pickle
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from etcdv2 import AsyncClient, ClusterUnavailable, DeadlineExceeded, Outcome, OutcomeUnknown, Response, Timeout
from etcdv2._core.outcome import by_history, by_state, trace_of
from etcdv2._runtime.primitives import async_sleep
from etcdv2.testing import Server
from etcdv2_api import operations
from tests.chaos.links import Link
from tests.facade._async.conftest import Connect
from tests.tools.writers import async_foreign_writes

ACTIONS = ["create", "set", "update", "prev_index", "prev_value", "in order", "make_dir", "delete", "delete_index"]
DECIDABLE = ACTIONS[:6]
"""Writes that leave a value of their own."""


@pytest.fixture
async def link(etcd: Server) -> AsyncIterator[Link]:
    with Link(etcd.port) as link:
        yield link


@pytest.fixture
async def lossy(connect: Connect, link: Link) -> AsyncClient:
    """A client behind the link, which has seen the store's index."""
    client = connect(link.endpoint.url, timeout=Timeout(attempt=2, commit=1, total=5))
    await client.keys.exists("/")
    return client


async def write(client: AsyncClient, action: str, key: str, value: str, index: int) -> Response:
    keys = client.keys
    if action == "create":
        return await keys.create(key, value)
    if action == "set":
        return await keys.set(key, value)
    if action == "update":
        return await keys.update(key, value)
    if action == "prev_index":
        return await keys.set(key, value, prev_index=index)
    if action == "prev_value":
        return await keys.set(key, value, prev_value="before")
    if action == "in order":
        return await keys.create_in_order(key, value)
    if action == "make_dir":
        return await keys.make_dir(key)
    if action == "delete":
        return await keys.delete(key)
    return await keys.delete(key, prev_index=index)


async def lose(client: AsyncClient, link: Link, action: str, key: str, value: str, index: int) -> OutcomeUnknown:
    with pytest.raises(OutcomeUnknown) as caught:
        await write(client, action, key, value, index)
    link.mend()
    return caught.value


@pytest.mark.parametrize("action", DECIDABLE)
async def test_write_that_was_applied_is_found(
    lossy: AsyncClient, link: Link, client: AsyncClient, action: str
) -> None:
    index = 1
    if action not in ("create", "in order"):
        index = (await client.keys.set("/a", "before")).index
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = await lose(lossy, link, action, "/a", "mine", index)
    found = await lossy.keys.resolve(error)
    assert (found.state, found.final) == ("applied", True)
    assert found.node is not None
    assert (found.node.value, found.node.modified_index) == ("mine", found.index)
    assert (await client.keys.get(found.node.key)).node == found.node
    # Also when somebody has written over it, or removed it, since.
    await client.keys.set(found.node.key, "theirs")
    await client.keys.delete("/a", recursive=True)
    later = await lossy.keys.resolve(error)
    assert (later.state, later.index) == ("applied", found.index)


async def test_write_between_two_deletions_is_found(lossy: AsyncClient, link: Link, client: AsyncClient) -> None:
    await lossy.keys.exists("/")
    await client.keys.set("/a", "theirs")
    await client.keys.delete("/a")
    link.lose_answers = True
    error = await lose(lossy, link, "create", "/a", "mine", 0)
    await client.keys.delete("/a")
    assert (await lossy.keys.resolve(error)).state == "applied"


async def test_late_answer_of_a_member_is_waited_for(lossy: AsyncClient, link: Link, client: AsyncClient) -> None:
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = await lose(lossy, link, "create", "/a", "mine", 0)
    await client.keys.delete("/a")
    link.delay = 0.2
    assert (await lossy.keys.resolve(error)).state == "applied"
    with pytest.raises(DeadlineExceeded):
        await lossy.keys.resolve(error, timeout=0.3)


@pytest.mark.parametrize("action", ACTIONS)
async def test_write_that_was_not_applied_is_known(
    lossy: AsyncClient, link: Link, client: AsyncClient, action: str
) -> None:
    index = 1
    if action not in ("create", "in order", "make_dir"):
        index = (await client.keys.set("/a", "before")).index
    await lossy.keys.exists("/")
    link.lose_requests = True
    error = await lose(lossy, link, action, "/a", "mine", index)
    found = await lossy.keys.resolve(error)
    assert (found.state, found.final, found.node) == ("not applied", False, None)
    await client.keys.set("/elsewhere", "1")
    assert (await lossy.keys.resolve(error)).state == "not applied"
    if action == "in order":
        await client.keys.create_in_order("/a", "theirs")
    else:
        await client.keys.set("/a", "theirs")
    later = await lossy.keys.resolve(error)
    assert later.state == "not applied"
    # Only a condition on the modified index can never hold again.
    assert later.final == (action in ("prev_index", "delete_index"))


@pytest.mark.parametrize("action", ["delete", "delete_index", "make_dir"])
async def test_what_leaves_no_mark_of_its_own_is_unknown(
    lossy: AsyncClient, link: Link, client: AsyncClient, action: str
) -> None:
    index = 1 if action == "make_dir" else (await client.keys.set("/a", "before")).index
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = await lose(lossy, link, action, "/a", "", index)
    found = await lossy.keys.resolve(error)
    assert (found.state, found.final) == ("unknown", False)
    assert "whose" in found.reason


async def test_refresh_is_known_only_while_nothing_has_changed(
    lossy: AsyncClient, link: Link, client: AsyncClient
) -> None:
    await client.keys.set("/a", "before", ttl=100)
    await lossy.keys.exists("/")
    link.lose_requests = True
    with pytest.raises(OutcomeUnknown) as caught:
        await lossy.keys.refresh("/a", ttl=50)
    link.mend()
    assert (await lossy.keys.resolve(caught.value)).state == "not applied"
    await client.keys.refresh("/a", ttl=50)
    assert (await lossy.keys.resolve(caught.value)).state == "unknown"


async def test_value_that_others_write_too_is_unknown_when_that_shows(
    lossy: AsyncClient, link: Link, client: AsyncClient
) -> None:
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = await lose(lossy, link, "in order", "/q", "same", 0)
    await client.keys.create_in_order("/q", "same")
    assert (await lossy.keys.resolve(error)).state == "unknown"


async def test_history_that_is_gone_makes_it_unknown(
    lossy: AsyncClient, link: Link, client: AsyncClient, etcd: Server
) -> None:
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = await lose(lossy, link, "create", "/a", "mine", 0)
    await client.keys.delete("/a")
    assert (await lossy.keys.resolve(error)).state == "applied"
    await async_foreign_writes(etcd, 1000)
    found = await lossy.keys.resolve(error)
    assert (found.state, "events" in found.reason) == ("unknown", True)


async def test_first_call_of_a_client_is_unknown(connect: Connect, link: Link) -> None:
    fresh = connect(link.endpoint.url)
    link.lose_answers = True
    error = await lose(fresh, link, "create", "/a", "mine", 0)
    assert (error.index, error.cluster_id) == (0, "")
    assert (await fresh.keys.resolve(error)).state == "unknown"


async def test_another_client_can_resolve_and_a_pickled_error_too(
    lossy: AsyncClient, link: Link, client: AsyncClient
) -> None:
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = pickle.loads(pickle.dumps(await lose(lossy, link, "create", "/a", "mine", 0)))
    assert (await client.keys.resolve(error)).state == "applied"


async def test_another_cluster_cannot_know(lossy: AsyncClient, link: Link, connect: Connect, etcd_binary: Path) -> None:
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = await lose(lossy, link, "create", "/a", "mine", 0)
    with Server(etcd_binary, name="other") as other:
        found = await connect(other.url).keys.resolve(error)
    assert (found.state, found.reason) == ("unknown", "the cluster was replaced since")


async def test_cluster_that_is_away_cannot_be_asked(lossy: AsyncClient, link: Link) -> None:
    await lossy.keys.exists("/")
    link.lose_answers = True
    error = await lose(lossy, link, "create", "/a", "mine", 0)
    link.close_door()
    with pytest.raises(ClusterUnavailable):
        await lossy.keys.resolve(error, timeout=1)


async def test_what_is_no_lost_write_of_a_key_is_refused(client: AsyncClient) -> None:
    with pytest.raises(TypeError, match="OutcomeUnknown"):
        await client.keys.resolve(ValueError("x"))  # type: ignore[arg-type]
    error = OutcomeUnknown(operations.remove_member("abc"), "http://10.0.0.1:2379", "timed out")
    with pytest.raises(ValueError, match="no write of a key"):
        await client.keys.resolve(error)


async def test_lost_write_can_be_applied_later_but_never_after_its_index_has_passed(
    lossy: AsyncClient, link: Link, client: AsyncClient
) -> None:
    """The way to the server stalls, and later lets both writes through, though nobody waits for them any more."""
    index = (await client.keys.set("/swapped", "before")).index
    await lossy.keys.exists("/")
    link.stall()
    errors: list[OutcomeUnknown] = []
    for action, key in [("create", "/created"), ("prev_index", "/swapped")]:
        with pytest.raises(OutcomeUnknown) as caught:
            await write(lossy, action, key, f"mine {action}", index)
        errors.append(caught.value)
    await client.keys.set("/swapped", "theirs")
    created, swapped = [await client.keys.resolve(error) for error in errors]
    assert (created.state, created.final) == ("not applied", False)
    assert (swapped.state, swapped.final) == ("not applied", True)
    link.go()
    for _ in range(20):
        created = await client.keys.resolve(errors[0])
        if created.state == "applied":
            break
        await async_sleep(0.1)
    assert created.state == "applied"
    swapped = await client.keys.resolve(errors[1])
    assert (swapped.state, swapped.final) == ("not applied", True)
    assert (await client.keys.get("/swapped", quorum=True)).value == "theirs"


@pytest.mark.load
async def test_it_never_says_what_is_not_so(lossy: AsyncClient, link: Link, client: AsyncClient) -> None:
    wrong = await judge(lossy, link, client, lossy.keys.resolve)
    assert wrong == []


async def test_judge_catches_a_client_that_guesses_by_the_state_alone(
    lossy: AsyncClient, link: Link, client: AsyncClient
) -> None:
    async def guess(error: OutcomeUnknown) -> Outcome:
        trace = trace_of(error)
        found = await lossy.keys.get(trace.key, default=None, quorum=True)
        node, index = (None, 1) if found is None else (found.node, found.index)
        return (found and by_state(trace, node, index)) or by_history(trace, node, [], index, complete=True)

    assert await judge(lossy, link, client, guess) != []


async def judge(
    lossy: AsyncClient, link: Link, client: AsyncClient, resolve: Callable[[OutcomeUnknown], Awaitable[Outcome]]
) -> list[str]:
    """Loses writes amid those of others; the answers that contradict what the server has really done."""
    rng = random.Random(4)
    wrong: list[str] = []
    for number in range(40):
        key, mine = f"/n{number}", str(uuid4())
        action = rng.choice(ACTIONS)
        index = 1
        if rng.random() < (0.2 if action in ("create", "in order", "make_dir") else 0.9):
            index = (await client.keys.set(key, "before")).index
        for _ in range(rng.randint(0, 2)):
            await client.keys.set(f"/other{rng.randint(0, 9)}", "x")
        await lossy.keys.exists("/")
        before = (await client.stats.store()).model_dump()
        link.lose_answers = rng.random() < 0.6
        link.lose_requests = not link.lose_answers
        error = await lose(lossy, link, action, key, mine, index)
        after = (await client.stats.store()).model_dump()
        counters = [name for name in before if name.endswith("_success") and not name.startswith("gets")]
        applied = any(after[name] != before[name] for name in counters)
        for _ in range(rng.randint(0, 3)):
            kind = rng.choice(["set", "set", "delete", "refresh", "elsewhere"])
            if kind == "elsewhere":
                await client.keys.set("/elsewhere", "x")
            elif kind == "delete":
                if await client.keys.exists(key):
                    await client.keys.delete(key, recursive=True)
            elif (found := await client.keys.get(key, default=None)) is None or not found.node.dir:
                if kind == "refresh" and found is not None:
                    await client.keys.refresh(key, ttl=100)
                else:
                    await client.keys.set(key, "theirs")
        outcome = await resolve(error)
        truth = "applied" if applied else "not applied"
        if outcome.state != truth and (outcome.state != "unknown" or action in DECIDABLE):
            wrong.append(f"{number}: {action} was {truth}, not {outcome}")
    return wrong
