"""Any requests to a real server and to the v2 store in Python, as a state machine for hypothesis.

Owns the requests, how they are sent, and what the two must have in common: each answer, and after each
request everything that HTTP shows.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from etcdv2 import ApiError
from etcdv2.testing import Server
from etcdv2.transfer import StoreEvent, StoreNode, StoreRequest, V2Store, apply
from tests.tools.waiting import SOON, until

Result = TypeVar("Result")

SECOND = 1_000_000_000
SOON_GONE = 10 * SECOND
"""Nothing expires between this and `LONG` seconds from now: what a test of any speed can tell apart."""
LONG = [1000, 3600, 400_000]
WRAPPED = [10_000_000_000, 2**63 - 1, 2**64 - 1]
"""Seconds that overflow etcd's nanoseconds (spec/protocol.md section 7)."""

NAMES = [
    b"a",
    b"b",
    b"c",
    b"_h",
    b"_",
    "ü ?%#&+;=".encode(),
    b'"\\\n<>',
    b"..x",
    b"\x00",
    b"\xff",
    b"\xe2\x82",
    b"00000000000000000001",
]
VALUES = [b"", b"x", b"y", "é\u2028<&>".encode(), b"\xff\xfe\x00", b"long" * 100]
STATUS = {100: 404, 101: 412, 102: 403, 104: 400, 105: 412, 107: 400, 108: 403, 300: 500}


@dataclass(frozen=True)
class Write:
    """What hypothesis draws: a request whose conditions are made out when it is sent."""

    method: str
    path: tuple[bytes, ...]
    trailing: str
    options: dict[str, Any]


def writes() -> st.SearchStrategy[Write]:
    maybe = st.sampled_from([None, None, None, True, False])
    options = st.fixed_dictionaries(
        {
            "value": st.one_of(st.none(), st.sampled_from(VALUES)),
            "ttl": st.sampled_from([None] * 24 + [0, 1, *LONG * 3, *WRAPPED]),
            "dir": maybe,
            "recursive": maybe,
            "prevExist": maybe,
            "refresh": maybe,
            "prevIndex": st.sampled_from([None] * 4 + ["right", "right", "wrong", "zero"]),
            "prevValue": st.sampled_from([None] * 4 + ["right", "right", "wrong"]),
            "noValueOnSuccess": maybe,
        }
    )
    return st.builds(
        Write,
        st.sampled_from(["PUT", "PUT", "PUT", "POST", "DELETE"]),
        paths(),
        st.sampled_from(["", "", "", "/"]),
        options,
    )


def paths() -> st.SearchStrategy[tuple[bytes, ...]]:
    few = st.sampled_from(NAMES[:4])
    return st.lists(st.one_of(few, few, st.sampled_from(NAMES)), max_size=4).map(tuple)


class StoreMachine(RuleBasedStateMachine):
    """One server, emptied for each example, and a store that is given the same requests."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SOON)
        for name in [None, *NAMES]:
            if name is None:
                keys = [node["key"] for node in self.ask("GET", "/")[1]["node"].get("nodes", ())]
                paths = [quote(key) for key in keys]
            else:
                paths = ["/" + quote(name)]
            for path in paths:
                self.ask("DELETE", path, {"recursive": "true"})
        self.store = V2Store(index=self.ask("GET", "/")[2], directory_ttl=server.version_info < (3, 5))

    def teardown(self) -> None:
        self._line.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    @rule(write=writes())
    def write(self, write: Write) -> None:
        self.settle()
        fields = self.fields(write)
        quiet = write.method != "DELETE" and fields.get("noValueOnSuccess") == "true"
        began = time.time_ns()
        status, answer, index = self.ask(write.method, self.url(write), fields)
        ended = time.time_ns()

        # The store is given the moment of expiry that the server has chosen.
        request = self.request(write, fields, answer, began, ended, quiet)
        event, error = attempt(lambda: apply(self.store, request)[0])
        if error is not None:
            expected = {"errorCode": error.code, "message": error.message, "index": error.index}
            if cause := trimmed(error.cause) if error.code != 300 else error.cause:
                expected["cause"] = lossy(cause)
            assert (status, answer, index) == (STATUS[error.code], expected, error.index), request
        if event is not None:
            created = event.action == "create" or (event.action == "set" and event.prev_node is None)
            assert (status, index) == (201 if created else 200, self.store.index), (request, answer)
            self.same_event(answer, event, began, ended, quiet)
        self.settle()
        self.everything_is_the_same()

    @rule(path=paths(), recursive=st.booleans(), quorum=st.booleans())
    def read(self, path: tuple[bytes, ...], recursive: bool, quorum: bool) -> None:
        self.settle()
        self.same_reading(path, recursive, quorum)

    def fields(self, write: Write) -> dict[str, Any]:
        """The parameters that are sent: those whose combination the server does not refuse for its form."""
        options = dict(write.options)
        there = self.there(write.path)
        if options["prevIndex"] is not None:
            right = there.modified_index if there is not None else 5
            options["prevIndex"] = {"right": right, "wrong": right + 1, "zero": 0}[options["prevIndex"]]
        if options["prevValue"] is not None:
            right_value = there.value.encode("utf-8", "surrogateescape") if there is not None and there.value else b"x"
            options["prevValue"] = right_value if options["prevValue"] == "right" else right_value + b"?"
        if options["refresh"]:
            options["value"], options["ttl"] = None, options["ttl"] or LONG[0]
        if options["ttl"] is not None:  # the answer has to say when it expires
            options["noValueOnSuccess"] = None
        texts = {True: "true", False: "false"}
        return {
            name: texts[value] if isinstance(value, bool) else value
            for name, value in options.items()
            if value is not None
        }

    @staticmethod
    def url(write: Write) -> str:
        return "/" + "/".join(quote(name, safe="") for name in write.path) + (write.trailing if write.path else "")

    @staticmethod
    def request(write: Write, fields: dict[str, Any], answer: Any, began: int, ended: int, quiet: bool) -> StoreRequest:
        ttl = fields.get("ttl")
        expiration = 0
        if ttl is not None:
            expiration = wrapped(began + wrapped(wrapped(ttl) * SECOND))
            shown = answer.get("node", {}).get("expiration")
            if shown is not None:
                chosen = nanoseconds(shown)
                assert -1 <= chosen - expiration <= ended - began + 1
                expiration = chosen
        prev_exist = fields.get("prevExist")
        return StoreRequest(
            write.method,
            "/1" + "".join("/" + text(name) for name in write.path) + write.trailing,
            text(fields.get("value", b"")),
            dir=fields.get("dir") == "true",
            prev_value=text(fields.get("prevValue", b"")),
            prev_index=fields.get("prevIndex", 0),
            prev_exist=None if prev_exist is None else prev_exist == "true",
            expiration=expiration,
            recursive=fields.get("recursive") == "true",
            refresh=fields.get("refresh") == "true",
        )

    def ask(self, method: str, path: str, fields: dict[str, Any] | None = None) -> tuple[int, Any, int]:
        query, body, headers = "", None, {}
        if fields and method in ("PUT", "POST"):
            body, headers = urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}
        elif fields:
            query = "?" + urlencode(fields)
        self._line.request(method, "/v2/keys" + path + query, body, headers)
        answer = self._line.getresponse()
        read = answer.read()
        return answer.status, json.loads(read), int(answer.headers["X-Etcd-Index"])

    # --- comparing ----------------------------------------------------------------------------------------------------

    def there(self, path: tuple[bytes, ...]) -> StoreNode | None:
        return attempt(lambda: self.store.get("/1/" + "/".join(map(text, path))))[0]

    def settle(self) -> None:
        """Waits until the server has swept what the store says is due."""
        self.store.expire(time.time_ns() + SOON_GONE)
        until(lambda: self.ask("GET", "/")[2] >= self.store.index, lambda: f"{self.store} is not reached")
        assert self.ask("GET", "/")[2] == self.store.index

    def everything_is_the_same(self) -> None:
        self.same_reading((), recursive=True, quorum=False)
        for node in list(self.store.walk("/1")):
            if node.name.startswith("_") and "\ufffd" not in lossy(node.path):
                raw = node.path.removeprefix("/1/").encode("utf-8", "surrogateescape")
                self.same_reading(tuple(raw.split(b"/")), recursive=True, quorum=False)

    def same_reading(self, path: tuple[bytes, ...], recursive: bool, quorum: bool) -> None:
        fields = {"recursive": str(recursive).lower(), "quorum": str(quorum).lower(), "sorted": "true"}
        began = time.time_ns()
        status, answer, index = self.ask("GET", "/" + "/".join(quote(name, safe="") for name in path), fields)
        ended = time.time_ns()
        place = "/1/" + "/".join(map(text, path))
        assert index == self.store.index
        node, error = attempt(lambda: self.store.get(place))
        if error is not None:
            refused = (STATUS[error.code], error.code, lossy(trimmed(error.cause)) or None)
            assert (status, answer["errorCode"], answer.get("cause")) == refused
        if node is None:
            return
        assert (status, answer["action"]) == (200, "get")
        self.same_node(answer["node"], node, began, ended)
        self.same_children(answer["node"], node, recursive, began, ended)

    def same_children(self, shown: Any, node: StoreNode, recursive: bool, began: int, ended: int) -> None:
        expected = self.store.children(node.path, hidden=False) if node.dir else ()
        listed = shown.get("nodes", [])
        assert len(listed) == len(expected), (shown, expected)
        for one, other in zip(listed, expected, strict=True):
            self.same_node(one, other, began, ended)
            if recursive:
                self.same_children(one, other, recursive, began, ended)
            else:
                assert "nodes" not in one

    def same_event(self, answer: Any, event: StoreEvent, began: int, ended: int, quiet: bool) -> None:
        assert answer["action"] == event.action
        if quiet:
            assert answer == {"action": event.action}
            return
        self.same_node(answer["node"], event.node, began, ended)
        assert ("prevNode" in answer) == (event.prev_node is not None)
        if event.prev_node is not None:
            self.same_node(answer["prevNode"], event.prev_node, began, ended)

    @staticmethod
    def same_node(shown: Any, node: StoreNode, began: int, ended: int) -> None:
        expected: dict[str, Any] = {"key": lossy(trimmed(node.path))}
        if node.path == "/1":
            assert shown == {"dir": True} | ({"nodes": shown["nodes"]} if "nodes" in shown else {})
            return
        expected |= {"modifiedIndex": node.modified_index, "createdIndex": node.created_index}
        if node.dir:
            expected["dir"] = True
        if node.value is not None:
            expected["value"] = lossy(node.value)
        rest = {name: value for name, value in shown.items() if name not in ("ttl", "expiration", "nodes")}
        assert rest == expected, (shown, node)

        # Expiry to the nanosecond; the rest of seconds as the server's clock had it in between.
        moment = shown.get("expiration")
        assert (None if moment is None else nanoseconds(moment)) == node.expires_at
        if node.expires_at is not None:
            least, most = (node.expires_at - ended) // SECOND, (node.expires_at - began) // SECOND + 1
            assert least <= shown.get("ttl", 0) <= most + (most < 0)


def attempt(deed: Callable[[], Result]) -> tuple[Result | None, ApiError | None]:
    try:
        return deed(), None
    except ApiError as error:
        return None, error


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def lossy(shown: str) -> str:
    return re.sub("[\udc80-\udcff]", "\ufffd", shown)


def trimmed(path: str) -> str:
    return path.removeprefix("/1")


def wrapped(number: int) -> int:
    """As an int64 of Go."""
    return (number + 2**63) % 2**64 - 2**63


def nanoseconds(moment: str) -> int:
    """Of RFC 3339 in UTC, to the last digit."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    return timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * SECOND + int(fraction.ljust(9, "0") or 0)
