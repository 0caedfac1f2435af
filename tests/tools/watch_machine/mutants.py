"""Rules that are wrong in one point each, for the watch machine to find out; some of them were once ours."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from etcdv2._core.watch import raft_chain
from etcdv2._core.watch.raft_chain import RaftChain
from etcdv2._core.watch.renewal import Ended, Registered, Renewal, State
from tests.tools.watch_machine.driver import Driver
from tests.tools.watch_machine.ground import DIRECT, LIMITS, SWAPS, WEAK, Ground
from tests.tools.watch_machine.history_driver import HistoryDriver
from tests.tools.watch_machine.network import Flow
from tests.tools.watch_machine.polls_driver import Held, Steps


class _OneProperEnd(Renewal):
    """One poll that ended properly proves what two do."""

    __slots__ = ()

    def ended(self, *, properly: bool) -> Ended:
        ended = super().ended(properly=properly)
        if properly and self._silent_to is not None:
            self._cursor.moved_to(self._silent_to)
        return ended


class _OneAbort(Renewal):
    """One poll that was aborted is as good as two where ends are not answered."""

    __slots__ = ()

    def ended(self, *, properly: bool) -> Ended:
        ended = super().ended(properly=properly)
        if self._silent_to is not None:
            self._cursor.moved_to(self._silent_to)
        return ended


class _AnyMember(Renewal):
    """What the second poll found the first one was sent, wherever they are."""

    __slots__ = ()

    def ended(self, *, properly: bool) -> Ended:
        second = self.second
        ended = super().ended(properly=properly)
        if self._silent_to is not None and second is not None:
            self._silent_to = second.index
        return ended


class _MemberThatLags(Renewal):
    """What the first poll found the second one found, wherever they are."""

    __slots__ = ()

    def ended(self, *, properly: bool) -> Ended:
        first = self.first
        ended = super().ended(properly=properly)
        if self._silent_to is not None and first is not None:
            self._silent_to = max(first.index, self._silent_to)
        return ended


class _AbortsCount(Renewal):
    """A poll that was aborted counts as silent also where ends are answered."""

    __slots__ = ()

    def begin(self, first: Registered, *, path_answers: bool) -> None:
        super().begin(first, path_answers=False)


class _NoLookBack(Renewal):
    """A live event is delivered, whatever came before it."""

    __slots__ = ()

    @staticmethod
    def needs_look_back(poll: Registered, event_index: int) -> bool:
        return False


class _NoLeaps(RaftChain):
    """The raft index is not looked at."""

    __slots__ = ()

    def note(self, index: int, raft_index: int, asked_at: float) -> int:
        return 0


class _LeapsAtOnce(RaftChain):
    """A leap is over when it is seen, and none where the store has not changed."""

    __slots__ = ()

    def note(self, index: int, raft_index: int, asked_at: float) -> int:
        if self._raft and raft_index - self._raft >= raft_chain.SNAPSHOT_ENTRIES and index > self._index:
            self.leaps += 1
            self.leapt_to = index
        self._index, self._raft = max(index, self._index), max(raft_index, self._raft)
        return self.leaps


class _With(Driver):
    """A driver with another class of the core."""

    renewal_class: type[Renewal] = Renewal
    chain_class: type[RaftChain] = RaftChain


class _EndedBefore(Driver):
    """The end of the first poll is asked for before the headers of the second one have come."""

    asked: Held | None = None

    def renew(self) -> Steps:
        if self.first is not None and self.renewal.state is State.POLLING:
            self.asked = self.first
            self.end(self.first)
        yield from super().renew()
        self.asked = None

    def read_event(self, held: Held, event: list[int]) -> Steps:
        yield from super().read_event(held, event)
        while not event and self.asked is held and self.renewal.state is State.POLLING:
            yield None


class _TakenInALeap(Driver):
    """A poll is taken while its member is being caught up."""

    def hold(self, endpoint: int, flow: Flow, since: int | None) -> Held | None:
        leaps = self.chain(endpoint, flow).leaps
        return Held(flow, Registered(flow.headers.index, leaps, self.member(flow)), flow.headers, endpoint, since)


class _WrongHistory(Driver):
    """A history that came with a snapshot is searched like another one."""

    def is_behind_leap(self, held: Held, since: int | None) -> bool:
        return False


class _OneChain(Driver):
    """One raft index for all members behind an endpoint."""

    def chain(self, endpoint: int, flow: Flow) -> RaftChain:
        return self.chains.setdefault((endpoint, "", flow.history.cluster_id), self.chain_class())


class _ReadsForgetDeletions(Driver):
    """A key that is not there was not touched, either."""

    def is_untouched(self, node: tuple[int, int] | None, settled: int) -> bool:
        return node is None or node[1] <= settled


class _ReadsTrustTheKey(Driver):
    """A key that is there was not touched."""

    def is_untouched(self, node: tuple[int, int] | None, settled: int) -> bool:
        return node is not None


class _Plain(Driver):
    """Where nothing says whether the history is the same, the watch goes on: as one without snapshots does."""

    strict = False


class _NotCompared(HistoryDriver):
    """A server that answers is in the same history."""

    def prove(self, endpoint: int, flow: Flow, store_index: int, asked_from: int | None, found: list[bool]) -> Steps:
        self.history.proved(self.place(endpoint, flow))
        found.append(True)
        yield None


class _ComparesNothing(Driver):
    history_class = _NotCompared


class Mutant(NamedTuple):
    """A driver, and the ground that shows it best."""

    driver: type[Driver]
    ground: Ground


def _core(renewal: type[Renewal] = Renewal, chain: type[RaftChain] = RaftChain) -> type[Driver]:
    return type("Mutated", (_With,), {"renewal_class": renewal, "chain_class": chain})


_LOOK_BACK = Ground(trouble=0.05, swaps="")
MUTANTS = {
    "goes on in a history that is not known": Mutant(_Plain, SWAPS),
    "last event is not compared": Mutant(_ComparesNothing, SWAPS),
    "one proper end is enough": Mutant(_core(_OneProperEnd), DIRECT["one member, far"]),
    "one abort is enough": Mutant(_core(_OneAbort), WEAK["one member"]),
    "settles what the second found, at another member": Mutant(_core(_AnyMember), DIRECT["balancer, far"]),
    "settles what a member that lags has not found": Mutant(_core(_MemberThatLags), DIRECT["balancer, far"]),
    "aborts count where ends are answered": Mutant(
        _core(_AbortsCount), replace(DIRECT["one member, far"], trouble=0.02)
    ),
    "half-closed before the second's headers": Mutant(_EndedBefore, DIRECT["one member, far"]),
    "no look back": Mutant(_core(_NoLookBack), _LOOK_BACK),
    "leaps are ignored": Mutant(_core(chain=_NoLeaps), _LOOK_BACK),
    "leaps are over at once": Mutant(_core(chain=_LeapsAtOnce), _LOOK_BACK),
    "polls are taken in a leap": Mutant(_TakenInALeap, _LOOK_BACK),
    "history of a snapshot is trusted": Mutant(_WrongHistory, replace(_LOOK_BACK, wrong_history=True)),
    "what is not there was not touched": Mutant(_ReadsForgetDeletions, DIRECT["one member, far"]),
    "what is there was not touched": Mutant(_ReadsTrustTheKey, DIRECT["one member, far"]),
    "one chain for all members": Mutant(_OneChain, replace(LIMITS["snapshots, members not known"], members_known=True)),
}
