"""What moves a watch on without an event: every row of the table in `renewal`, every rule, every order of inputs."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from etcdv2._core.watch import renewal as rules
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.renewal import Ended, Registered, Renewal, State

KEPT = 1000
"""Events of the whole store that a server keeps."""
PROBED = 150
"""Events between two looks at the store's index."""


def state_of(renewal: Renewal) -> State:
    return renewal.state


def watch(settled: int = 100) -> Renewal:
    return Renewal(Cursor("/k", recursive=False, wait_index=settled + 1))


def at(index: int, *, member: str = "a", leaps: int = 0) -> Registered:
    return Registered(index, leaps, member)


def polling(first: Registered, *, settled: int = 100, path_answers: bool = True, looks: int = 1) -> Renewal:
    renewal = watch(settled)
    renewal.begin(first, path_answers=path_answers)
    for _ in range(looks):
        renewal.looked(first)
    return renewal


def ending(first: Registered, second: Registered | None, *, settled: int = 100, path_answers: bool = True) -> Renewal:
    renewal = polling(first, settled=settled, path_answers=path_answers)
    assert renewal.overlap(second, 0.0)
    return renewal


def next_poll(renewal: Renewal, first: Registered, second: Registered, *, path_answers: bool = True) -> Renewal:
    """After GO_ON: `first` is read, and `second` is registered beside it."""
    renewal.begin(first, path_answers=path_answers)
    renewal.looked(first)
    assert renewal.overlap(second, 0.0)
    return renewal


def test_the_numbers() -> None:
    assert (rules.RENEW_AFTER_EVENTS, rules.RENEW_SOONER_EVENTS, rules.URGENT_EVENTS) == (300, 200, 600)
    assert (rules.LOOKS_BEFORE_RENEWAL, rules.END_SECONDS) == (1, 1.0)


# --- the rows of the table -------------------------------------------------------------------------------------------


def test_registered_poll_is_polling() -> None:
    renewal = watch()
    assert state_of(renewal) is State.NONE
    renewal.begin(at(100), path_answers=True)
    assert state_of(renewal) is State.POLLING
    assert renewal.first == at(100)


@pytest.mark.parametrize(
    ("path_answers", "member", "gone_on", "due"),
    [
        (True, "a", 299, False),
        (True, "a", 300, True),
        (True, "", 199, False),
        (True, "", 200, True),
        (False, "a", 199, False),
        (False, "a", 200, True),
        (False, "", 200, True),
    ],
)
def test_poll_is_renewed_when_the_store_has_gone_on(path_answers: bool, member: str, gone_on: int, due: bool) -> None:
    renewal = polling(at(500, member=member), settled=500, path_answers=path_answers)
    assert renewal.due(500 + gone_on) is due
    assert state_of(renewal) is State.POLLING


@pytest.mark.parametrize(("settled", "due"), [(101, False), (100, True)])
def test_poll_is_renewed_early_when_the_settled_index_stays_600_events_behind(settled: int, due: bool) -> None:
    assert polling(at(690), settled=settled).due(700) is due


def test_poll_is_renewed_only_after_a_look_that_was_begun_after_its_headers() -> None:
    renewal = polling(at(100), looks=0)
    assert not renewal.due(5000)
    assert not renewal.due(0)
    renewal.looked(None)
    renewal.looked(at(100))  # another poll, though an equal one
    assert not renewal.due(5000)
    renewal.looked(renewal.first)
    assert renewal.due(5000)
    renewal.begin(at(5000), path_answers=True)
    assert not renewal.due(9000)


def test_poll_is_renewed_at_each_look_where_the_index_may_not_be_read() -> None:
    assert polling(at(100)).due(0)


def test_second_poll_that_is_registered_ends_the_first() -> None:
    renewal = polling(at(100))
    assert renewal.overlap(at(400), 7.0)
    assert state_of(renewal) is State.ENDING
    assert renewal.second == at(400)
    assert renewal.due(400)  # for the monitor to look after it


def test_end_is_overdue_after_one_second() -> None:
    renewal = ending(at(100), at(400))
    assert not renewal.is_overdue(0.9)
    assert renewal.is_overdue(1.0)
    assert not polling(at(100)).is_overdue(1000.0)


def test_refused_second_poll_ends_the_first_which_is_asked_again() -> None:
    renewal = ending(at(100), None)
    assert state_of(renewal) is State.ENDING
    assert renewal.ended(properly=True) is Ended.AGAIN
    assert state_of(renewal) is State.NONE
    assert renewal.settled == 100


@pytest.mark.parametrize("state", [State.NONE, State.ENDING, State.RECEIVING, State.STREAMING, State.CLOSED])
def test_second_poll_is_wanted_by_a_poll_that_waits_only(state: State) -> None:
    renewal = polling(at(100))
    renewal.state = state
    assert not renewal.overlap(at(400), 0.0)
    assert renewal.second is None


@pytest.mark.parametrize("begin", [lambda: polling(at(100)), lambda: ending(at(100), at(400))])
def test_first_bytes_leave_the_poll_to_finish(begin: Callable[[], Renewal]) -> None:
    renewal = begin()
    renewal.receiving()
    assert state_of(renewal) is State.RECEIVING
    assert not renewal.due(5000)
    assert not renewal.is_overdue(1000.0)
    renewal.heard()
    assert state_of(renewal) is State.NONE
    assert (renewal.first, renewal.second) == (None, None)


@pytest.mark.parametrize("properly", [True, False])
@pytest.mark.parametrize("receiving", [True, False])
def test_end_that_nobody_asked_for_proves_nothing(properly: bool, receiving: bool) -> None:
    renewal = polling(at(500))
    if receiving:
        renewal.receiving()
    assert renewal.ended(properly=properly) is Ended.AGAIN
    assert (renewal.state, renewal.settled) == (State.NONE, 100)


def test_event_that_broke_while_the_poll_was_ending_is_asked_for_again() -> None:
    renewal = ending(at(100), at(400))
    renewal.receiving()
    assert renewal.ended(properly=False) is Ended.AGAIN


def test_stream_and_its_end() -> None:
    renewal = polling(at(100))
    renewal.streaming()
    assert state_of(renewal) is State.STREAMING
    assert not renewal.due(5000)
    renewal.receiving()
    renewal.heard()  # each event
    assert state_of(renewal) is State.STREAMING
    renewal.stream_ended()
    assert state_of(renewal) is State.NONE
    renewal.begin(at(200), path_answers=True)
    renewal.stream_ended()
    assert state_of(renewal) is State.POLLING


def test_closed_is_for_ever() -> None:
    renewal = ending(at(100), at(400))
    renewal.close()
    assert renewal.ended(properly=True) is Ended.AGAIN
    for go_on in (renewal.heard, renewal.streaming, renewal.stream_ended, renewal.receiving):
        go_on()
        assert state_of(renewal) is State.CLOSED
    renewal.begin(at(500), path_answers=True)
    assert state_of(renewal) is State.CLOSED
    assert not renewal.due(9000)


def test_repr_shows_where_it_stands() -> None:
    text = repr(ending(at(100), at(400)))
    assert "ending" in text
    assert "settled 100" in text
    assert "400" in text


# --- two in a row ----------------------------------------------------------------------------------------------------


def test_one_poll_that_ended_properly_proves_nothing() -> None:
    """Its handler may have found event and end at once, and taken the end."""
    renewal = ending(at(100), at(400))
    assert renewal.ended(properly=True) is Ended.GO_ON
    assert (renewal.state, renewal.settled) == (State.NONE, 100)


def test_two_at_one_member_prove_all_up_to_the_registration_of_the_second() -> None:
    renewal = ending(at(100), at(400))
    renewal.ended(properly=True)
    next_poll(renewal, at(400), at(700))
    assert renewal.ended(properly=True) is Ended.GO_ON
    assert renewal.settled == 400
    next_poll(renewal, at(700), at(1000))
    renewal.ended(properly=True)
    assert renewal.settled == 700


@pytest.mark.parametrize(("first", "second", "proved"), [(150, 400, 150), (400, 150, 150)])
@pytest.mark.parametrize("members", [("a", "b"), ("", ""), ("", "a"), ("a", "")])
def test_two_elsewhere_prove_what_both_found(first: int, second: int, proved: int, members: tuple[str, str]) -> None:
    """What the earlier was sent while it waited, the later one need not have."""
    one, two = at(first, member=members[0]), at(second, member=members[1])
    renewal = ending(one, two)
    renewal.ended(properly=True)
    next_poll(renewal, two, at(900, member="c"))
    renewal.ended(properly=True)
    assert renewal.settled == proved


def test_member_of_the_third_poll_does_not_matter() -> None:
    renewal = ending(at(100), at(400))
    renewal.ended(properly=True)
    next_poll(renewal, at(400), at(50, member="b"))
    renewal.ended(properly=True)
    assert renewal.settled == 400


def test_settled_index_does_not_go_back_for_a_member_that_lags() -> None:
    renewal = ending(at(700), at(50, member="b"), settled=600)
    renewal.ended(properly=True)
    next_poll(renewal, at(50, member="b"), at(60, member="b"))
    renewal.ended(properly=True)
    assert renewal.settled == 600


@pytest.mark.parametrize(
    "between",
    [
        lambda renewal: renewal.heard(),
        lambda renewal: (renewal.begin(at(450), path_answers=True), renewal.ended(properly=True)),
        lambda renewal: (renewal.begin(at(450), path_answers=True), renewal.ended(properly=False)),
        lambda renewal: (next_poll(renewal, at(450), at(500)), renewal.ended(properly=False)),
        lambda renewal: renewal.streaming(),
    ],
    ids=["event", "ended by itself", "broke", "was slow to end", "stream"],
)
def test_two_have_to_be_in_a_row(between: Callable[[Renewal], object]) -> None:
    renewal = ending(at(100), at(450))
    renewal.ended(properly=True)
    between(renewal)
    next_poll(renewal, at(500), at(700))
    renewal.ended(properly=True)
    assert renewal.settled == 100
    next_poll(renewal, at(700), at(900))
    renewal.ended(properly=True)
    assert renewal.settled == 700


# --- where the end is not answered -----------------------------------------------------------------------------------


def test_two_aborted_polls_prove_what_both_found_where_ends_are_not_answered() -> None:
    renewal = ending(at(150), at(400), path_answers=False)
    assert renewal.ended(properly=False) is Ended.GO_ON
    assert renewal.settled == 100
    next_poll(renewal, at(400), at(700), path_answers=False)
    renewal.ended(properly=False)
    assert renewal.settled == 150
    next_poll(renewal, at(700), at(900), path_answers=False)
    renewal.ended(properly=False)
    assert renewal.settled == 400


def test_aborted_poll_proves_nothing_where_ends_are_answered() -> None:
    renewal = ending(at(150), at(400))
    for first, second in [(400, 700), (700, 1000), (1000, 1300)]:
        assert renewal.ended(properly=False) is Ended.GO_ON
        assert renewal.settled == 100
        next_poll(renewal, at(first), at(second))


# --- snapshots -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("properly", [True, False])
@pytest.mark.parametrize("member", ["a", ""])
def test_leap_between_two_polls_of_a_member_names_the_loss(properly: bool, member: str) -> None:
    renewal = ending(at(100, member=member), at(400, member=member, leaps=1))
    assert renewal.ended(properly=properly) is Ended.LEAPT
    assert renewal.settled == 100


def test_leaps_of_two_members_are_not_compared() -> None:
    renewal = ending(at(100), at(400, member="b", leaps=3))
    assert renewal.ended(properly=True) is Ended.GO_ON


@pytest.mark.parametrize(("event", "needed"), [(40, False), (100, False), (101, False), (102, True), (9000, True)])
def test_live_event_after_foreign_ones_needs_a_look_back(event: int, needed: bool) -> None:
    """Not one that was found in the history (up to 100), nor the store's next. However soon it comes."""
    assert Renewal.needs_look_back(at(100), event) is needed


# --- pace ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path_answers", [True, False])
@pytest.mark.parametrize("member", ["a", ""])
@pytest.mark.parametrize("opening", [0, 50])
@pytest.mark.parametrize("phase", range(0, PROBED, 10))
def test_quiet_watch_stays_within_the_history(path_answers: bool, member: str, opening: int, phase: int) -> None:
    """Looks 150 events apart, and so many events while a poll is opened: what a poll is asked from is still there."""
    renewal = watch(5)
    renewal.begin(at(5 + phase, member=member), path_answers=path_answers)
    furthest = 0
    for store in range(PROBED, 100 * PROBED, PROBED):
        renewal.looked(renewal.first)
        if renewal.due(store):
            second = at(store + opening, member=member)
            furthest = max(furthest, second.index - renewal.settled)
            assert renewal.overlap(second, 0.0)
            assert renewal.ended(properly=path_answers) is Ended.GO_ON
            renewal.begin(second, path_answers=path_answers)
    assert 0 < furthest <= KEPT


# --- every order of the inputs ---------------------------------------------------------------------------------------

INPUTS: list[tuple[str, Callable[[Renewal, int], object]]] = [
    ("begin", lambda renewal, now: renewal.begin(at(100 + now), path_answers=True)),
    ("begin weakly", lambda renewal, now: renewal.begin(at(100 + now, member=""), path_answers=False)),
    ("look", lambda renewal, now: renewal.looked(renewal.first)),
    ("second", lambda renewal, now: renewal.overlap(at(100 + now), 0.0)),
    ("second refused", lambda renewal, now: renewal.overlap(None, 0.0)),
    ("bytes", lambda renewal, now: renewal.receiving()),
    ("end", lambda renewal, now: renewal.ended(properly=True)),
    ("failure", lambda renewal, now: renewal.ended(properly=False)),
    ("event", lambda renewal, now: renewal.heard()),
    ("stream", lambda renewal, now: renewal.streaming()),
    ("stream's end", lambda renewal, now: renewal.stream_ended()),
    ("close", lambda renewal, now: renewal.close()),
]
LEGAL = {
    State.NONE: {"begin": State.POLLING, "begin weakly": State.POLLING, "stream": State.STREAMING},
    State.POLLING: {
        "second": State.ENDING,
        "second refused": State.ENDING,
        "bytes": State.RECEIVING,
        "end": State.NONE,
        "failure": State.NONE,
        "event": State.NONE,
        "stream": State.STREAMING,
        "begin": State.POLLING,
        "begin weakly": State.POLLING,
    },
    State.STREAMING: {
        "stream's end": State.NONE,
        "end": State.NONE,
        "failure": State.NONE,
        "begin": State.POLLING,
        "begin weakly": State.POLLING,
        "stream": State.STREAMING,
    },
    State.CLOSED: {},
}
LEGAL[State.ENDING] = {**LEGAL[State.POLLING], "second": State.ENDING, "second refused": State.ENDING}
LEGAL[State.RECEIVING] = {**LEGAL[State.POLLING], "second": State.RECEIVING, "second refused": State.RECEIVING}


@pytest.mark.parametrize("opening", [(), (0, 2, 3), (0, 2, 3, 6, 0, 2, 3), (1, 2, 3, 7, 1, 2, 3)], ids=str)
def test_every_order_of_inputs_keeps_the_rules(opening: tuple[int, ...]) -> None:
    """Four inputs behind each opening. The settled index moves at an end in ENDING only, and up to no first poll's
    registration but that of the second in a row; it never goes back; nothing happens after a close."""
    for rest in itertools.product(range(len(INPUTS)), repeat=4):
        renewal = watch()
        silent_before = False
        for now, number in enumerate((*opening, *rest)):
            name, put_in = INPUTS[number]
            state, settled, second = renewal.state, renewal.settled, renewal.second
            put_in(renewal, now)
            assert renewal.state is (State.CLOSED if name == "close" else LEGAL[state].get(name, state)), (rest, name)

            if renewal.settled != settled:
                assert renewal.settled > settled
                assert state is State.ENDING
                assert name in ("end", "failure")
                assert second is not None
                assert silent_before
                assert renewal.settled < second.index
            if name in ("end", "failure"):
                silent_before = state is State.ENDING and second is not None
            elif name in ("event", "stream") or state is State.CLOSED:
                silent_before = False


def test_a_poll_that_another_thread_ends_in_the_midst_of_a_look_is_not_due() -> None:
    """The monitor of a member asks without the lock of the watch."""

    class Ending(Renewal):
        """Its first poll is there when it is looked at first, and then never again."""

        asked = 0

        @property
        def first(self) -> Registered | None:  # type: ignore[override]
            self.asked += 1
            return self._first if self.asked == 1 else None

        @first.setter
        def first(self, first: Registered | None) -> None:
            self._first = first

    renewal = Ending(Cursor("/k", recursive=False, wait_index=101))
    first = at(100)
    renewal.begin(first, path_answers=True)
    renewal._looks = rules.LOOKS_BEFORE_RENEWAL
    assert renewal.due(100 + rules.RENEW_AFTER_EVENTS) is True
    renewal.asked = 1
    assert renewal.due(100 + rules.RENEW_AFTER_EVENTS) is False
