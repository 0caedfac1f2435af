"""What must not pass a checker: each line that ends in `# wrong` is an error, and no other line is."""

from __future__ import annotations

import etcdv2
from etcdv2 import Ack, AsyncClient, Client, Event, Response, Timeout, Watcher


def mistaken(client: Client) -> None:
    Client(endpoint="http://a:2379")  # wrong
    Client(timeout="5")  # wrong
    Client(consistency="strong")  # wrong
    Client(username=7)  # wrong
    Timeout(5)  # wrong
    Timeout(totl=5)  # wrong
    etcdv2.TLS(cafile="ca.pem")  # wrong
    client.keys.set("/a", 1)  # wrong
    client.keys.set("/a", b"1")  # wrong
    client.keys.set("/a", "1", ttl="30")  # wrong
    client.keys.set("/a", "1", prevValue="0")  # wrong
    client.keys.set("/a", "1", 30)  # wrong
    print(client.keys.set("/a", "1", no_value_on_success=True).node)  # wrong
    client.keys.get("/a", recurse=True)  # wrong
    print(client.keys.get("/a", default=None).value)  # wrong
    client.keys.get("/a").node.value.upper()  # wrong
    print(client.keys.get("/a").prev_node.key)  # wrong
    client.keys.get("/a").index = 7  # wrong
    client.keys.watch("/a", after_index="7")  # wrong
    print(client.keys.watch("/a").next(1).key)  # wrong
    client.keys.refresh("/a")  # wrong
    client.keys.modify("/a", lambda value: 7)  # wrong
    client.keys.unknown("/a")  # wrong
    print(client.stats.self_().unknown)  # wrong
    ack: Ack = client.keys.set("/a", "1")  # wrong
    response: Response = client.keys.set("/a", "1", no_value_on_success=True)  # wrong
    watcher: Watcher[Event[int]] = client.keys.watch("/a")  # wrong
    print(ack, response, watcher)


async def mistaken_async(client: AsyncClient) -> None:
    print(client.keys.get("/a").value)  # wrong
    for _ in client.keys.watch("/a"):  # wrong
        pass
    with client:  # wrong
        pass
    await client.keys.watch("/a")  # wrong
