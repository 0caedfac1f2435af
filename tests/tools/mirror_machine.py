"""Operations and faults in any order around one mirror, as a state machine for hypothesis.

Owns the rules and the ground that the faults act on; what the mirror must show is the book's affair.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from operator import is_not
from types import TracebackType
from typing import Any, Self

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from etcdv2 import Client, KeyNotFound, Mirror, MirrorState, Timeout
from etcdv2.testing import Cluster, Server
from tests.chaos.links import Link
from tests.tools.mirror_book import DEEDS, Book, Replay
from tests.tools.waiting import until
from tests.tools.writers import foreign_writes

Open = Callable[[Any, str], Mirror]
QUICK = Timeout(connect=0.5, attempt=0.5, commit=2, total=4)
SURE = Timeout(connect=1, attempt=2, commit=4, total=15)
SOON = 20.0
"""Seconds for a mirror to be current again: its own pauses are up to 5 s."""
LONGER_THAN_HISTORY = 1100

HOME = "/machine"

numbers = itertools.count()

# The last ones lie around the mirrored key: above it, and beside it with the same beginning.
PLACES = ["", "/a", "/a/b", "/a/b/c", "/a-", "/b", "/ü ?%#&+;", '/b/"\\\n', "/_h", "/a/_h/x", "/d/_h", "/d"]
PLACES += ["/..", "/../..", "/../n", "-", "<"]
TEXTS = {"short": "", "odd": "é\r\n\u2028", "long": "x" * 70_000}
WRITES = st.lists(
    st.tuples(st.sampled_from(sorted(DEEDS)), st.sampled_from(PLACES), st.sampled_from(list(TEXTS))),
    min_size=1,
    max_size=8,
)


class Ground:
    """One server or three members, before each of them a link for the mirror's client. Used by `with`."""

    def __init__(self, real: Server | Cluster) -> None:
        self.cluster = real if isinstance(real, Cluster) else None
        self.members = real.members if isinstance(real, Cluster) else [real]
        self.links = [Link(member.port) for member in self.members]
        self._stack = contextlib.ExitStack()

    @property
    def endpoints(self) -> list[str]:
        return [link.endpoint.url for link in self.links]

    @property
    def alive(self) -> list[Server]:
        return [member for member in self.members if member.running and not member.paused]

    def connected(self) -> Link:
        """The link that the mirror uses."""
        return max(self.links, key=lambda link: link.open_connections)

    def member(self, whom: str) -> Server:
        """ "leader", "connected", or another one where there is one."""
        connected = self.members[self.links.index(self.connected())]
        if whom == "connected" or self.cluster is None:
            return connected
        leader = self.cluster.leader()
        return leader if whom == "leader" else next(one for one in self.members if one not in (leader, connected))

    def mend(self) -> None:
        for link in self.links:
            link.mend()

    def revive(self) -> None:
        """All members run and follow one leader."""
        if self.cluster is not None:
            self.cluster.heal()
            return
        if self.members[0].paused:
            self.members[0].resume()
        self.members[0].start()

    def __enter__(self) -> Self:
        for link in self.links:
            self._stack.enter_context(link)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mend()
        self._stack.close()


class MirrorMachine(RuleBasedStateMachine):
    """Each example has a directory and clients of its own. `without` names rules that are left out."""

    def __init__(self, ground: Ground, opened: Open, within: float = SOON, without: Collection[str] = ()) -> None:
        super().__init__()
        self._without = without
        self._ground, self._opened, self._within = ground, opened, within
        self._base = f"{HOME}/{next(numbers)}"
        self._values = itertools.count(1)
        self._away = False
        """Whether links were closed or stalled and not mended."""
        self._waited = False
        self._strikes = 0
        self._judged = False
        self._seen: list[MirrorState] = []
        self._clients = contextlib.ExitStack()
        self._writer = self._connect(ground.members)
        self._watching: threading.Thread | None = None
        self.key, self.book = self._base, Book(self._base)

    def _connect(self, members: list[Server]) -> Client:
        """A client that goes past the links."""
        return self._clients.enter_context(Client([member.url for member in members], timeout=SURE))

    def may(self, rule: str) -> bool:
        return rule not in self._without

    # --- the mirror ---------------------------------------------------------------------------------------------------

    @initialize(place=st.sampled_from(["/up/dir", "/up/_dir", "/dir"]), writes=WRITES)
    def begin(self, place: str, writes: list[tuple[str, str, str]]) -> None:
        self.key = self._base + place
        self.book = Book(self.key)
        self.write(writes)
        client = self._clients.enter_context(Client(self._ground.endpoints, timeout=QUICK))
        self.mirror = self._clients.enter_context(self._opened(client.keys, self.key))
        self._replays = [Replay(self.mirror, buffer) for buffer in (100_000, 3)]
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()

    def _watch(self) -> None:
        """Until the mirror ends."""
        with contextlib.suppress(Exception):  # what ended the mirror is in `error`
            self.mirror.wait_for(self._seen.append)

    # --- operations ---------------------------------------------------------------------------------------------------

    def _place(self, place: str) -> str:
        above = place.count("..")
        if above == 0:
            return self.key[:-1] if place == "<" else self.key + place
        return "/".join(self.key.split("/")[:-above]) + place.replace("/..", "")

    def _value(self, text: str = "short") -> str:
        """One that no other write has."""
        return f"{next(self._values)}{TEXTS[text]}"

    def _do(self, deed: str, place: str, text: str = "short") -> int:
        """The index of what was done, 0 where the server refused it or nobody knows."""
        index = self.book.carry_out(self._writer, deed, self._place(place), self._value(text))
        self.book.look(self._writer)
        return index

    @rule(writes=WRITES)
    def write(self, writes: list[tuple[str, str, str]]) -> None:
        for write in writes:
            self._do(*write)

    @rule(writes=WRITES)
    def write_on(self, writes: list[tuple[str, str, str]]) -> None:
        self.write(writes)

    @rule(place=st.sampled_from(["", "/..", "/a"]), then=st.sampled_from(["nothing", "set", "make directory for 1 s"]))
    def replace(self, place: str, then: str) -> None:
        """The mirrored directory, one above or one in it goes, and something else comes."""
        self._do("delete tree", place)
        if then != "nothing":
            self._do(then, place)
            self._do("set", "/a/c")

    @precondition(lambda self: not self._waited and self.may("let_expire"))
    @rule(deeds=st.lists(st.sampled_from(["set for 1 s", "make directory for 1 s", "refresh for 1 s"]), min_size=1))
    def let_expire(self, deeds: list[str]) -> None:
        """Once in an example, as it takes that long."""
        self._waited = True
        for deed, place in zip(deeds, ["/a", "/..", "", "/e", "/e/f"], strict=False):
            self._do(deed, place)
            self._do("set", f"{place}/g")
        soon = time.monotonic() + 2
        until(lambda: not self._expiring() or time.monotonic() > soon, lambda: None)

    def _expiring(self) -> bool:
        tree = self.book.look(self._writer)
        return any(
            node.ttl is not None and node.ttl < 10 for node in [*tree.files.values(), *tree.directories.values()]
        )

    @rule(count=st.sampled_from([50, 450]))
    def let_others_write(self, count: int) -> None:
        foreign_writes(self._ground.alive[0], count)
        self.book.look(self._writer)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _links(self, which: str) -> list[Link]:
        return self._ground.links if which == "all" else [self._ground.connected()]

    @rule(which=st.sampled_from(["all", "connected"]), cleanly=st.booleans())
    def cut(self, which: str, cleanly: bool) -> None:
        for link in self._links(which):
            (link.end_cleanly if cleanly else link.cut)()

    @precondition(lambda self: not self._away and self.may("go_away"))
    @rule(which=st.sampled_from(["all", "connected"]), how=st.sampled_from(["close", "stall"]))
    def go_away(self, which: str, how: str) -> None:
        for link in self._links(which):
            (link.close_door if how == "close" else link.stall)()
        self._away = True

    @precondition(lambda self: self._away)
    @rule(after=st.sampled_from([0.0, 0.0, 0.7]))
    def come_back(self, after: float) -> None:
        time.sleep(after)  # how long the fault lasts
        self._ground.mend()
        self._away = False

    @precondition(lambda self: self.may("lose_history"))
    @rule(writes=WRITES)
    def lose_history(self, writes: list[tuple[str, str, str]]) -> None:
        for link in self._ground.links:
            link.close_door()
        self.write(writes)
        foreign_writes(self._ground.alive[0], LONGER_THAN_HISTORY)
        self.write(writes)
        self.come_back(0)

    @precondition(lambda self: self._strikes < 2 and self.may("strike"))
    @precondition(lambda self: len(self._ground.alive) == len(self._ground.members))
    @rule(how=st.sampled_from(["kill", "pause"]), whom=st.sampled_from(["leader", "connected", "other"]), writes=WRITES)
    def strike(self, how: str, whom: str, writes: list[tuple[str, str, str]]) -> None:
        """Kill or pause a member with writes under way. One of three stays away until `revive`. Takes a second."""
        self._strikes += 1
        member = self._ground.member(whom)
        with self._writes_under_way(member):
            (member.kill if how == "kill" else member.pause)()
            if self._ground.cluster is not None:
                self._ground.cluster.leader()
            elif how == "pause":
                time.sleep(0.7)  # longer than the mirror's client waits for an answer
                member.resume()
            else:
                member.start()
        self._writer = self._connect(self._ground.alive)
        self.write(writes)

    @contextlib.contextmanager
    def _writes_under_way(self, member: Server) -> Iterator[None]:
        """One after the other, mostly up to one that gets no answer."""
        key, begun, over = self._place("/under way"), threading.Event(), threading.Event()

        def write() -> None:
            with Client(member.url, timeout=0.6) as client:
                while self.book.carry_out(client, "set", key, self._value()) and not over.is_set():
                    begun.set()
            begun.set()

        thread = threading.Thread(target=write)
        thread.start()
        begun.wait()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @precondition(lambda self: len(self._ground.alive) < len(self._ground.members))
    @rule()
    def revive(self) -> None:
        self._ground.revive()
        self._writer = self._connect(self._ground.members)

    # --- the judgement ------------------------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        """When all is well, the mirror is soon what the server has, and its states and changes have led there."""
        self._judged = True
        self._ground.revive()
        self.come_back(0)
        self._agree(0)
        # The mirrored key itself may be a file, or one above it.
        mark = self._do("set", "/mark") or self._do("set", "")
        self._agree(mark)
        until(lambda: self.mirror.synced, lambda: "it says that the cluster is away", self._within)
        count = len(self._seen)
        self.book.check_seen(self._seen[:count])
        del self._seen[:count]
        for replay in self._replays:
            replay.check()
        self._judged = False

    def _agree(self, mark: int) -> None:
        """Wait until the mirror has come to index `mark` and is what the server has."""
        ends = time.monotonic() + self._within
        while True:
            tree, state = self.book.look(self._writer), self.mirror.state
            wrong = list(self.book.objections(state, tree))
            if state.index < mark:
                wrong.append(f"the mirror is at {state.index}, not yet at {mark}")
            if not wrong:
                return
            assert self.mirror.error is None
            assert state.index != tree.index, f"at {tree.index}: {wrong}"
            assert time.monotonic() < ends, f"at {state.index} for {tree.index}: {wrong}"
            self.mirror.wait_for(partial(is_not, state), 0.05)

    def teardown(self) -> None:
        try:
            if self._watching is not None and not self._judged:  # a failure would hide that of `settle`
                self.settle()
        finally:
            self._ground.mend()
            self._ground.revive()
            self._clients.close()
            if self._watching is not None:
                self._watching.join()
            with Client(self._ground.members[0].url) as client, contextlib.suppress(KeyNotFound):
                client.keys.delete(HOME, recursive=True)
