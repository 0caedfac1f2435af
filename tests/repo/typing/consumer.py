"""What a user's program sees of the types, sync and async. Checked by mypy and pyright, both strict; never run."""

from __future__ import annotations

import pickle
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import assert_type

import httpx
import httpx2

import etcdv2
from etcdv2 import (
    Ack,
    AsyncClient,
    AsyncWatcher,
    Client,
    Event,
    Node,
    Response,
    Snapshot,
    Timeout,
    Watcher,
    transfer,
)
from etcdv2.recipes import (
    AsyncItem,
    AsyncLease,
    AsyncSession,
    Contender,
    Item,
    Leader,
    Leadership,
    Lease,
    Lock,
    Registration,
    Session,
)
from etcdv2_api import operations
from etcdv2_api.models import KeysEvent


def constructing() -> None:
    Client()
    Client("http://127.0.0.1:2379", timeout=5)
    Client(["https://a:2379", "b"], tls=etcdv2.TLS(ca_file="ca.pem"), username="root", password="x")
    Client(("a", "b"), tls=ssl.create_default_context(), timeout=None, consistency="quorum", repeat_writes=True)
    Client(timeout=Timeout(connect=1, attempt=2, commit=None, total=20), transport="httpx", proxy="http://p:1")
    Client(transport=httpx.HTTPTransport())
    AsyncClient(transport=httpx.AsyncHTTPTransport())
    Client(transport=httpx2.HTTPTransport())
    AsyncClient(transport=httpx2.AsyncHTTPTransport())
    assert_type(Client.from_env(), Client)
    assert_type(AsyncClient.from_env({"ETCDCTL_ENDPOINTS": "a"}), AsyncClient)
    assert_type(Client.from_srv("example.org", service="kv", insecure_discovery=False, verify_domain=True), Client)
    assert_type(AsyncClient.from_srv("example.org", username="root", password="x", timeout=5), AsyncClient)
    assert_type(Client.from_env(transport="httpx", timeout=Timeout.within(3)), Client)
    with Client() as client:
        assert_type(client, Client)


def keys_of(client: Client) -> None:
    keys = client.keys
    assert_type(keys, etcdv2.KeysAPI)
    assert_type(keys.at("/app").at("x"), etcdv2.KeysAPI)
    assert_type(keys.get("/a"), Response)
    assert_type(keys.get("/a", recursive=True, sorted=True, quorum=True, timeout=1), Response)
    assert_type(keys.get("/a", default=None), Response | None)
    assert_type(keys.get("/a", default=7), Response | int)
    assert_type(keys.get("/a", default="x", consistency="session"), Response | str)
    assert_type(keys.set("/a", "1"), Response)
    assert_type(keys.set("/a", "1", ttl=30, prev_value="0"), Response)
    assert_type(keys.set("/a", "1", ttl=timedelta(seconds=5), prev_index=7, no_value_on_success=False), Response)
    assert_type(keys.set("/a", "1", no_value_on_success=True), Ack)
    assert_type(keys.set("/a", "1", no_value_on_success=True, ttl=5, prev_exist=True, timeout=None), Ack)
    assert_type(keys.create("/a", "1"), Response)
    assert_type(keys.update("/a", "1", ttl=None, repeat_writes=True), Response)
    assert_type(keys.create_in_order("/q", "1"), Response)
    assert_type(keys.create_in_order("/q", "1", no_value_on_success=True), Ack)
    assert_type(keys.delete("/a", prev_index=7), Response)
    assert_type(keys.delete("/d", recursive=True, dir=True), Response)
    assert_type(keys.refresh("/a", 30), Response)
    assert_type(keys.persist("/a"), Response)
    assert_type(keys.modify("/a", lambda value: value + "x", default=""), Response)
    assert_type(keys.modify("/a", lambda value: None if value else "x"), Response)
    assert_type(keys.make_dir("/d", ttl=60, exist_ok=True), Response)
    assert_type(keys.remove_dir("/d", recursive=True), Response)
    assert_type(keys.exists("/a", quorum=True), bool)


async def async_keys_of(client: AsyncClient) -> None:
    keys = client.keys
    assert_type(keys, etcdv2.AsyncKeysAPI)
    assert_type(keys.at("/app"), etcdv2.AsyncKeysAPI)
    assert_type(await keys.get("/a"), Response)
    assert_type(await keys.get("/a", default=None), Response | None)
    assert_type(await keys.get("/a", default=7), Response | int)
    assert_type(await keys.set("/a", "1"), Response)
    assert_type(await keys.set("/a", "1", no_value_on_success=True), Ack)
    assert_type(await keys.create_in_order("/q", "1"), Response)
    assert_type(await keys.create_in_order("/q", "1", no_value_on_success=True), Ack)
    assert_type(await keys.modify("/a", lambda value: value + "x"), Response)
    assert_type(await keys.exists("/a"), bool)


def nodes_of(response: Response) -> None:
    """Nobody has to test what cannot happen; only what can be absent may be None."""
    assert_type(response.action, str)
    assert_type(response.node, Node)
    assert_type(response.prev_node, Node | None)
    assert_type(response.value, str)
    assert_type(response.index, int)
    assert_type(response.raft_index, int)
    assert_type(response.raft_term, int)
    assert_type(response.cluster_id, str)
    node = response.node
    assert_type(node.key, str)
    assert_type(node.name, str)
    assert_type(node.value, str | None)
    assert_type(node.dir, bool)
    assert_type(node.ttl, int | None)
    assert_type(node.expiration, datetime | None)
    assert_type(node.modified_index, int)
    assert_type(node.created_index, int)
    assert_type(node.nodes, tuple[Node, ...])
    assert_type(node.children, tuple[Node, ...])
    assert_type(response.walk(), Iterator[Node])
    assert_type([leaf.key.upper() for leaf in response.leaves()], list[str])
    print(node.children[0].key.upper(), node.modified_index + 1)


def acknowledged(ack: Ack) -> None:
    assert_type(ack.action, str)
    assert_type(ack.index, int)


def watching(client: Client) -> None:
    watcher = client.keys.watch("/a", recursive=True, after_index=42, patience=None)
    assert_type(watcher, Watcher[Event])
    with watcher as entered:
        assert_type(entered, Watcher[Event])
        for event in entered:
            assert_type(event, Event)
            assert_type(event.key, str)
            assert_type(event.value, str | None)
            assert_type(event.index, int)
            assert_type(event.node, Node)
            assert_type(event.prev_node, Node | None)
            assert_type(event.deleted, bool)
            assert_type(event.ancestor, bool)
        assert_type(entered.next(timeout=1), Event | None)
        assert_type(entered.index, int)
    watcher.close()


def watching_with_snapshots(client: Client) -> None:
    watcher = client.keys.watch("/a", recursive=True, snapshots=True, buffer=10)
    assert_type(watcher, Watcher[Event | Snapshot])
    assert_type(client.keys.watch("/a", snapshots=False, after_index=0), Watcher[Event])
    assert_type(client.keys.at("/app").watch("a", snapshots=True), Watcher[Event | Snapshot])
    assert_type(watcher.next(timeout=1), Event | Snapshot | None)
    for item in watcher:
        assert_type(item.index, int)
        if isinstance(item, Snapshot):
            assert_type(item.node, Node | None)
            assert_type(item.leaves(), Iterator[Node])
        else:
            assert_type(item.value, str | None)


async def async_watching_with_snapshots(client: AsyncClient) -> None:
    async with client.keys.watch("/a", snapshots=True) as watcher:
        assert_type(watcher, AsyncWatcher[Event | Snapshot])
        async for item in watcher:
            assert_type(item, Event | Snapshot)


async def async_watching(client: AsyncClient) -> None:
    watcher = client.keys.watch("/a")
    assert_type(watcher, AsyncWatcher[Event])
    async with watcher as entered:
        async for event in entered:
            assert_type(event, Event)
            assert_type(event.value, str | None)
        assert_type(await entered.next(timeout=1), Event | None)
    await watcher.close()


def events_with_values_of_another_type(event: Event[int], watcher: Watcher[Event[int]]) -> None:
    assert_type(event.value, int | None)
    for one in watcher:
        assert_type(one.value, int | None)


def sections_of(client: Client) -> None:
    assert_type(client.members.list(), tuple[etcdv2.Member, ...])
    assert_type(client.members.leader().client_urls, tuple[str, ...])
    assert_type(client.members.add(["http://d:2380"]), etcdv2.Member)
    assert_type(client.stats.store(), etcdv2.StoreStats)
    assert_type(client.stats.leader(), etcdv2.LeaderStats)
    assert_type(client.raw.send("PUT", "/v2/keys/a", form=[("value", "1")]), etcdv2.RawAnswer)
    assert_type(client.auth.enabled(), bool)
    assert_type(client.auth.users.create("u", "p", roles=["r"]), etcdv2.UserState)
    assert_type(client.auth.users.get("u"), etcdv2.User)
    assert_type(client.auth.roles.grant("r", read="/a/*", write=["/a"]), etcdv2.Role)
    assert_type(client.machines(), tuple[str, ...])
    assert_type(client.version(), etcdv2.Version)
    assert_type(client.version().etcdserver, str)
    assert_type(client.ready(), etcdv2.Readiness)
    assert_type(client.ready(key="/a", timeout=1).reason, str)
    assert_type(client.auth.users, etcdv2.UsersAPI)
    assert_type(client.health().healthy, bool)
    assert_type(client.health().endpoints, tuple[etcdv2.EndpointHealth, ...])
    assert_type(client.endpoints, tuple[str, ...])
    assert_type(client.sync(), tuple[str, ...])
    assert_type(client.sync(every=60, timeout=1), tuple[str, ...])
    client.set_endpoints("http://a:2379")
    client.set_endpoints(endpoint for endpoint in client.endpoints)
    assert_type(client.cluster_id, str)
    client.set_credentials("root", "x")
    client.set_credentials(None)
    client.close()


async def async_sections_of(client: AsyncClient) -> None:
    assert_type(await client.members.list(), tuple[etcdv2.Member, ...])
    assert_type(await client.stats.self_(), etcdv2.SelfStats)
    assert_type(await client.raw.poll("/v2/keys/a", timeout=None), etcdv2.RawAnswer | None)
    assert_type(await client.auth.users.list(), tuple[etcdv2.User, ...])
    assert_type(await client.version(), etcdv2.Version)
    assert_type((await client.health()).degraded, bool)
    assert_type(await client.ready(key="/a"), etcdv2.Readiness)
    assert_type(await client.sync(every=60), tuple[str, ...])
    client.set_endpoints(["http://a:2379"])
    await client.close()


def unique_and_many_writes(client: Client) -> None:
    keys = client.keys
    assert_type(keys.create("/a", "mine", ttl=15, unique=True), Response)
    assert_type(keys.set("/a", "mine", prev_index=7, unique=True), Response)
    assert_type(keys.modify("/a", lambda text: text + "mine", unique=True), Response)
    assert_type(keys.modify("/a", lambda text: (text + "mine", etcdv2.KEEP), default="", unique=True), Response)
    assert_type(keys.set_many({"/a": "1"}, ttl=timedelta(minutes=1), concurrency=4), tuple[Response, ...])
    assert_type(keys.delete("/a", missing_ok=True), Response | None)


async def async_unique_and_many_writes(client: AsyncClient) -> None:
    keys = client.keys
    assert_type(await keys.create("/a", "mine", unique=True), Response)
    assert_type(await keys.set("/a", "mine", prev_value="old", unique=True), Response)
    assert_type(await keys.modify("/a", lambda text: text + "mine", default="", unique=True), Response)
    assert_type(await keys.set_many([("/a", "1")], repeat_writes=True), tuple[Response, ...])


def opened_and_in_batches(client: Client) -> None:
    watcher = client.keys.watch("/a", recursive=True).open()
    assert_type(watcher, Watcher[Event])
    assert_type(watcher.batch(timeout=1, gather=0, limit=10), list[Event])
    both = client.keys.watch("/a", snapshots=True).open()
    assert_type(both.batch(), list[Event | Snapshot])
    mirror = client.keys.mirror("/config").open()
    assert_type(mirror, etcdv2.Mirror)
    assert_type(mirror.changes().batch(0, gather=0.5), list[etcdv2.Change])
    watcher.close()
    mirror.close()


async def async_opened_and_in_batches(client: AsyncClient) -> None:
    watcher = await client.keys.watch("/a", recursive=True).open()
    assert_type(watcher, AsyncWatcher[Event])
    assert_type(await watcher.batch(limit=10), list[Event])
    mirror = await client.keys.mirror("/config").open()
    assert_type(await mirror.changes().batch(timeout=0), list[etcdv2.Change])
    await mirror.close()


def mirroring(client: Client) -> None:
    with client.keys.mirror("/config") as mirror:
        assert_type(mirror, etcdv2.Mirror)
        assert_type(mirror["/config/a"], Node)
        assert_type(mirror.get("/config/a"), Node | None)
        assert_type(mirror.state, etcdv2.MirrorState)
        assert_type(mirror.stale_for, float | None)
        assert_type(mirror.wait_for(lambda state: state.get("/config/a"), timeout=1), Node | None)
        assert_type(mirror.wait_for_index(client.keys.set("/a", "1").index, timeout=1), bool)
        for change in mirror.changes("/config/a", existing=True):
            assert_type(change, etcdv2.Change)


async def async_mirroring(client: AsyncClient) -> None:
    async with client.keys.mirror("/config") as mirror:
        assert_type(await mirror.wait_for(len, timeout=1), int)
        assert_type(await mirror.wait_for_index(7), bool)
        async for change in mirror.changes():
            assert_type(change.node, Node | None)


def low_level(client: Client) -> None:
    assert_type(client.send(operations.get_key("/a", recursive=True)), KeysEvent)
    assert_type(client.send(operations.delete_user("u")), None)
    assert_type(client.send(operations.list_machines()), str)


def hooks() -> None:
    def noted(info: etcdv2.AttemptInfo) -> None:
        assert_type(info.endpoint, str)
        assert_type(info.number, int)
        assert_type(info.status, int | None)
        assert_type(info.elapsed, float)

    hook: Callable[[etcdv2.AttemptInfo], None] = noted
    Client(before_attempt=hook, after_attempt=noted)


def errors(client: Client) -> str:
    try:
        return client.keys.get("/a").value
    except etcdv2.KeyNotFound as error:
        assert_type(error.code, int)
        assert_type(error.cause, str)
        assert_type(error.index, int)
        assert_type(error.endpoint, str)
    except etcdv2.OutcomeUnknown as error:
        assert_type(error.endpoint, str)
        print(error.call.method, error.call.path, client.as_curl(error.call))
        found = client.keys.resolve(error)
        assert_type(found, etcdv2.Outcome)
        assert_type(found.node, Node | None)
        if found.state == "not applied" and not found.final:
            print(found.index, found.reason)
    except etcdv2.ClusterUnavailable as error:
        attempts: Sequence[etcdv2.Attempt] = error.attempts
        assert_type([one.status for one in attempts], list[int | None])
    except etcdv2.ClusterChanged as error:
        assert_type(error.response, Response | None)
    except etcdv2.EtcdError as error:
        pickle.dumps(error)
    except LookupError:
        pass
    return ""


def both(client: Client) -> Iterator[Event]:
    yield from client.keys.watch("/a")


async def both_async(client: AsyncClient) -> AsyncIterator[Event]:
    async for event in client.keys.watch("/a"):
        yield event


def recipes(client: Client) -> None:
    with Session(client, ttl=timedelta(seconds=15), owner="me", watch_own=True) as session:
        lock = session.lock("/locks/db")
        assert_type(lock, Lock)
        with lock as lease, lease.guard():
            assert_type(lease, Lease)
            assert_type(lease.token, int)
        assert_type(lock.acquire(timeout=1.5), Lease)
        assert_type(lock.try_acquire(), Lease | None)
        assert_type(lock.contenders(), tuple[Contender, ...])
        assert_type(session.rwlock("/locks/db").read, Lock)
        assert_type(session.semaphore("/permits", 3), Lock)
        assert_type(session.create("/e/a", "v"), Lease)
        with session.register("/services/a", "v") as registration:
            assert_type(registration, Registration)
        leadership = session.election("/leader").campaign("a:80")
        assert_type(leadership, Leadership)
        leadership.on_lost(lambda lost: lost.proclaim("x"))
        for leader in session.election("/leader").observe():
            assert_type(leader, Leader | None)
        queue = session.queue("/jobs", ttl=timedelta(seconds=30))
        assert_type(queue.put("v", id="a"), str)
        if (item := queue.get(timeout=1)) is not None:
            with item as taken:
                assert_type(taken, Item)
                assert_type(taken.lease, Lease)
        assert_type((len(queue), queue.pending(), queue.claimed()), tuple[int, int, int])
        with session.party("/workers") as party, party.join("a") as member:
            assert_type(member, Registration)
            assert_type(party.wait_for(lambda members: [*members, "x"]), list[str])
        assert_type(session.barrier("/gate").close(ttl=15), Lease)
        assert_type(session.barrier("/gate").wait(1), bool)
        assert_type(session.double_barrier("/start", 3).enter(), Lease)
        assert_type(session.double_barrier("/start", 3).leave(1), bool)
        assert_type(session.counter("/count").value, int)
        assert_type(session.counter("/count").add(-2), int)


async def recipes_async(client: AsyncClient) -> None:
    async with AsyncSession(client) as session, session.lock("/locks/db") as lease, lease.guard() as guarded:
        assert_type(lease, AsyncLease)
        assert_type(guarded, AsyncLease)
        assert_type(await lease.lost.wait(1), bool)
        assert_type(await session.lock("/locks/db").try_acquire(), AsyncLease | None)
        assert_type(await session.queue("/jobs").get(), AsyncItem | None)
        assert_type(await session.counter("/count").value, int)
        async with session.party("/workers") as party:
            assert_type(party.members, Mapping[str, Node])
        async for leader in session.election("/leader").observe():
            assert_type(leader, Leader | None)


async def the_way_out(client: Client, asynchronous: AsyncClient) -> None:
    tree = transfer.read_tree(client, "/app", hidden=["/app/_h"], auth=True)
    assert_type(tree, transfer.Tree)
    assert_type(await transfer.async_read_tree(asynchronous), transfer.Tree)
    assert_type(next(iter(tree)).value, str | None)
    loaded = transfer.load(client, tree, root="/copy", if_="changed", ttl="drop", prune=True, concurrency=4)
    assert_type(loaded.done, tuple[transfer.Step, ...])
    assert_type(await transfer.async_load(asynchronous, tree, dry_run=True), transfer.Loaded)
    assert_type(await transfer.async_check_cluster(asynchronous), transfer.ClusterCheck)
    assert_type(await transfer.async_purge(asynchronous, cluster_id="1", dump=None), transfer.Purged)
    assert_type(transfer.check_cluster(client, observe=0).auth_used, bool | None)
    assert_type(transfer.check_directory(transfer.DataDirectory("/var/lib/etcd")).ready, bool)
    assert_type(transfer.purge(client, cluster_id="1", dump=None).recipe, tuple[str, ...])
    state = transfer.DataDirectory("/var/lib/etcd", wal_dir=None, check_crc=False).read()
    assert_type(state.store, transfer.V2Store)
    members = transfer.compare_members([transfer.DataDirectory("/var/lib/etcd")])
    assert_type(members.newest, transfer.DataDirectory)
    assert_type(members.others[0].at, int | None)
    assert_type(state.store.get("/1/app"), transfer.StoreNode)
    assert_type(list(transfer.compare(tree, transfer.read_dump("a.gz"))), list[transfer.Difference])
