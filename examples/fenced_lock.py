#!/usr/bin/env python3
"""A lock whose token fences a SQLite table: whoever was stopped for too long cannot overwrite what a later one wrote.

    python fenced_lock.py http://127.0.0.1:2379

The holder of the lock is "stopped" here until its lease is lost (its key is deleted, as by an expiry).
Somebody else takes the lock and writes. When the first one goes on, without looking, the table refuses
its older token.
"""

import logging
import sqlite3
import sys

import etcdv2
from etcdv2.recipes import LeaseLost, Session


class Table:
    """One row that remembers the highest token that has written it."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:")
        self._connection.execute("CREATE TABLE config (value TEXT, token INTEGER)")
        self._connection.execute("INSERT INTO config VALUES ('', 0)")

    def write(self, value: str, token: int) -> bool:
        """Whether it was written; not when a later token has written before."""
        done = self._connection.execute(
            "UPDATE config SET value = ?, token = ? WHERE token <= ?", (value, token, token)
        )
        return done.rowcount == 1

    def value(self) -> str:
        found: str = self._connection.execute("SELECT value FROM config").fetchone()[0]
        return found


def main(endpoint: str) -> None:
    table = Table()
    with (
        etcdv2.Client(endpoint) as client,
        etcdv2.Client(endpoint) as other,  # through one client this thread could not wait for itself
        Session(client, owner="first") as first,
        Session(other, owner="second") as second,
    ):
        stopped = first.lock("/locks/config").acquire()
        print("first holds the lock and writes:", table.write("by first", stopped.token))

        client.keys.delete(stopped.key)  # stands for: it was stopped for longer than the TTL
        with second.lock("/locks/config") as lease:
            print("second holds it with a higher token:", lease.token > stopped.token)
            print("second writes:", table.write("by second", lease.token))

            print("first goes on without looking:", table.write("by first, too late", stopped.token))
            try:
                stopped.verify()
            except LeaseLost as lost:
                print("first looks:", lost.reason)
        print("the table has:", table.value())


if __name__ == "__main__":
    logging.getLogger("etcdv2").setLevel(logging.ERROR)  # that a lease is lost is logged as a warning
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:2379")
