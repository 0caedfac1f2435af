"""Turing Awards in etcd: set, get, list, compare and swap, watch and expire, with asyncio.

    python examples/turing_awards_async.py
    python examples/turing_awards_async.py --endpoints https://10.0.0.1:2379,https://10.0.0.2:2379 --ca-file ca.pem

Without --endpoints it starts an etcd of its own and removes it afterwards. All keys are kept below
/turing_awards: that directory must not be there before, and is gone at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import etcdv2
from etcdv2.testing import Server, ServerNotFound, StartFailed

DIRECTORY = "/turing_awards"


def main() -> None:
    options = read_options()

    try:
        if options.endpoints is not None:
            asyncio.run(tour(connect(options)))
        else:
            with Server() as server:
                print(f"Started etcd {server.version} at {server.url}, for this demo only.")
                asyncio.run(tour(etcdv2.AsyncClient(server.url)))

    # Errors end in one line for the person at the terminal.
    except ServerNotFound as error:
        sys.exit(f"There is no etcd to start: {error}. A cluster of your own goes with --endpoints.")
    except StartFailed as error:
        sys.exit(f"The embedded etcd did not start: {error}")
    except etcdv2.KeyExists:
        sys.exit(f"{DIRECTORY} exists already, and this demo would remove it at the end. Nothing was changed.")
    except etcdv2.ClusterUnavailable as error:
        sys.exit(f"The cluster cannot be reached: {error}")
    except (etcdv2.EtcdError, ValueError) as error:  # a ValueError is about the options: a file, a URL
        sys.exit(f"That did not work: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted.")


async def tour(client: etcdv2.AsyncClient) -> None:
    async with client:
        await client.keys.make_dir(DIRECTORY)  # raises KeyExists when it is there
        print(f"All keys are kept below {DIRECTORY}.")
        try:
            awards = client.keys.at(DIRECTORY)
            await set_get_delete(awards)
            await list_a_directory(awards)
            await compare_and_swap(awards)
            await watch_in_background(awards)
            await expire(awards)
        finally:
            title("6. Clean-up")
            removed = await client.keys.remove_dir(DIRECTORY, recursive=True)
            show("delete", removed.node.key, "and everything below it")


async def set_get_delete(awards: etcdv2.AsyncKeysAPI) -> None:
    title("1. Set, get, delete, and get again")
    written = await awards.set("1966", "Alan Perlis")
    show("set", written.node.key, written.value)
    read = await awards.get("1966")
    show("get", read.node.key, read.value)
    deleted = await awards.delete("1966")
    show("delete", deleted.node.key)
    try:
        await awards.get("1966")
    except etcdv2.KeyNotFound as error:
        show("get", error.cause, "Not found: the key is no longer there.")


async def list_a_directory(awards: etcdv2.AsyncKeysAPI) -> None:
    title("2. A directory of winners")
    await awards.set("winners/1972", "Edsger W. Dijkstra")
    await awards.set("winners/1974", "Donald E. Knuth")
    winners = await awards.get("winners", sorted=True)
    show("list", winners.node.key, f"{len(winners.node.children)} winners:")
    for node in winners.node.children:
        show("", node.key, node.value)


async def compare_and_swap(awards: etcdv2.AsyncKeysAPI) -> None:
    title("3. Compare and swap: write only if nobody else did")
    before = await awards.set("2016", "to be announced")
    show("set", before.node.key, before.value)
    try:
        await awards.set("2016", "Tim Berners-Lee", prev_value="still secret")
    except etcdv2.CompareFailed:
        show("swap", before.node.key, "Refused: the value is not 'still secret'.")
    swapped = await awards.set("2016", "Tim Berners-Lee", prev_value="to be announced")
    show("swap", swapped.node.key, f"{swapped.value}, in place of '{before.value}'")


async def watch_in_background(awards: etcdv2.AsyncKeysAPI) -> None:
    title("4. A watcher in the background sees two awards as they are set")
    async with awards.watch("", recursive=True) as watcher:  # begun here: what is set from now on is seen
        task = asyncio.create_task(print_two_changes(watcher))
        await awards.set("1983", "Ken Thompson")
        await awards.set("2003", "Alan Kay")
        await asyncio.wait_for(task, timeout=10)


async def print_two_changes(watcher: etcdv2.AsyncWatcher[etcdv2.Event]) -> None:
    seen = 0
    async for event in watcher:
        show(event.action, event.key, f"{event.value:<14}modified index {event.index}")
        seen += 1
        if seen == 2:
            return


async def expire(awards: etcdv2.AsyncKeysAPI) -> None:
    title("5. A key that lives for one second")
    written = await awards.set("next", "a rumour", ttl=1)
    show("set", written.node.key, f"{written.value}, TTL 1 second")
    await asyncio.sleep(2)
    found = await awards.get("next", default=None)
    show("get", written.node.key, "Gone, two seconds later." if found is None else f"still there: {found.value}")


def title(text: str) -> None:
    print(f"\n{text}")


def show(action: str, key: str, text: object = "") -> None:
    print(f"   {action:<8}{key:<29}{text}".rstrip())


def connect(options: argparse.Namespace) -> etcdv2.AsyncClient:
    tls = None
    if options.ca_file or options.cert_file or options.key_file:
        tls = etcdv2.TLS(ca_file=options.ca_file, cert_file=options.cert_file, key_file=options.key_file)
    endpoints = options.endpoints.split(",")
    return etcdv2.AsyncClient(endpoints, tls=tls, username=options.username, password=options.password)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Turing Awards in etcd: a tour of the async client.")
    parser.add_argument("--endpoints", help="URLs of your own cluster, separated by commas; else an etcd is started")
    for name in ("--ca-file", "--cert-file", "--key-file"):
        parser.add_argument(name, help="a PEM file, for https endpoints")
    for name in ("--username", "--password"):
        parser.add_argument(name, help="for a cluster with authentication")
    options = parser.parse_args()
    if options.endpoints is None and any(value is not None for value in vars(options).values()):
        parser.error("the other options are for a cluster of your own: give --endpoints too")
    return options


if __name__ == "__main__":
    main()
