"""The numbers that README, site and docstrings promise, each as a number of its own, not as the constant behind it.

Those of the decisions without I/O; `tests/facade` and `tests/transport` have a module of the same name for the others.
What is promised of one class alone stands in that class's tests: the rests in `test_endpoint_pool`, the probes of the
store's index in `test_probe_interval`, the sizes of requests in `test_keys_arguments` and `test_admin_arguments`.
"""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

from etcdv2._core.call import finding
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import CallPolicy
from etcdv2._core.endpoints import Endpoint, parse_endpoint
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.watch.probe_interval import ProbeInterval
from etcdv2._core.watch.raft_chain import RaftChain
from etcdv2._core.watch.renewal import Ended, Registered, Renewal
from etcdv2._core.wire import Reply, TransportFailure
from etcdv2._types.call_errors import ClusterUnavailable, UnexpectedAnswer
from etcdv2._types.settings import Timeout, timeout_from
from tests.tools.course import (
    GOT,
    NO_LEADER,
    QUORUM,
    READ,
    REFUSED,
    REPEATED,
    SESSION,
    WRITE,
    Course,
    Outcome,
    plain,
)

A, B = Endpoint("http", "a", 2379), Endpoint("http", "b", 2379)


# --- times ------------------------------------------------------------------------------------------------------------


def test_a_connection_has_1_s_a_read_2_s_a_commit_8_s_and_all_of_a_call_20_s() -> None:
    assert dataclasses.asdict(Timeout()) == {"connect": 1.0, "attempt": 2.0, "commit": 8.0, "total": 20.0}


@pytest.mark.parametrize(("policy", "answer"), [(READ, 2), (SESSION, 2), (QUORUM, 8), (WRITE, 8), (REPEATED, 8)])
def test_each_kind_of_call_waits_for_its_own_time(policy: CallPolicy, answer: float) -> None:
    limits = Course(policy, endpoints=1, now=100.0).step().limits
    assert (limits.connect, limits.answer, limits.deadline) == (1, answer, 120)


def test_a_number_alone_is_the_total_and_leaves_the_other_times() -> None:
    assert timeout_from(5, Timeout()) == Timeout(connect=1, attempt=2, commit=8, total=5)


# --- rounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [READ, SESSION, QUORUM, WRITE])
@pytest.mark.parametrize("total", [20.0, None])
def test_every_endpoint_is_tried_once_more_half_a_second_later(policy: CallPolicy, total: float | None) -> None:
    """Without jitter, so that it is the longest that such a pause can be."""
    course = Course(policy, timeout=Timeout(total=total))
    with pytest.raises(ClusterUnavailable) as caught:
        course.run(REFUSED)
    assert "".join(course.tried[:3]) == "abc"
    assert sorted(course.tried[3:]) == ["a", "b", "c"]
    assert course.pauses == [0.5]
    assert len(caught.value.attempts) == 6


def test_jitter_makes_the_second_round_no_later() -> None:
    pauses = list[float]()
    for seed in range(50):
        course = Course(READ)
        course.route._rng = random.Random(seed)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(ClusterUnavailable):
            course.run(REFUSED)
        pauses += course.pauses
    assert len(pauses) == 50
    assert 0.25 <= min(pauses) < max(pauses) <= 0.5


@pytest.mark.parametrize(("outcome", "rounds"), [(REFUSED, 2), (NO_LEADER, 8)])
def test_without_a_total_there_are_two_rounds_and_eight_without_a_leader(outcome: Outcome, rounds: int) -> None:
    course = Course(QUORUM, timeout=Timeout(total=None))
    with pytest.raises(ClusterUnavailable):
        course.run(outcome)
    assert len(course.tried) == 3 * rounds
    assert len(course.pauses) == rounds - 1


def test_pauses_while_there_is_no_leader_double_up_to_two_seconds() -> None:
    course = Course(QUORUM, timeout=Timeout(total=None))
    course.run(*[NO_LEADER] * 21, GOT)
    assert course.pauses == [0.5, 1, 2, 2, 2, 2, 2]


# --- endpoints --------------------------------------------------------------------------------------------------------


def rest_after(failures: int, seed: int) -> float:
    """Seconds that endpoint A rests after so many failures in a row, as the pool jitters it."""
    pool = EndpointPool([A, B], random.Random(seed))
    now = 0.0
    for _ in range(failures):
        now += 1000
        pool.failed(A, now, "refused")
    low, high = 0.0, 1000.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if A in pool.well(now + middle) else (middle, high)
    return high


def test_failed_endpoint_rests_half_a_second_at_first_and_30_seconds_at_most() -> None:
    first = [rest_after(1, seed) for seed in range(50)]
    later = [rest_after(20, seed) for seed in range(50)]
    assert 0.25 <= min(first) < max(first) <= 0.5
    assert 15 <= min(later) < max(later) <= 30.000001


def test_endpoint_without_v2_is_skipped_for_30_seconds() -> None:
    pool = EndpointPool([A, B], random.Random(1))
    pool.without_v2(A, 100)
    assert pool.well(129.9) == [B]
    assert set(pool.well(130)) == {A, B}


@pytest.mark.parametrize(
    ("given", "tls", "url"),
    [
        ("10.0.0.1", False, "http://10.0.0.1:2379"),
        ("etcd", True, "https://etcd:2379"),
        ("[::1]", False, "http://[::1]:2379"),
    ],
)
def test_port_is_2379_where_none_is_given(given: str, tls: bool, url: str) -> None:
    assert parse_endpoint(given, tls=tls).url == url


@pytest.mark.parametrize(("given", "port"), [("http://etcd", 80), ("https://etcd", 443)])
def test_url_without_port_means_that_of_its_scheme(given: str, port: int) -> None:
    assert parse_endpoint(given, tls=given.startswith("https")).port == port


# --- watches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 37, 200, 500, 2000, 7000])
def test_quiet_watch_is_renewed_after_some_300_events_of_the_store(rate: int) -> None:
    """At a steady rate of writes, whatever it is; where the path answers, as it does without a proxy."""
    now, store, looks = 0.0, 1000, ProbeInterval()
    renewal = Renewal(Cursor("/k", recursive=False, wait_index=store + 1))
    renewal.begin(Registered(store, member="a"), path_answers=True)
    renewed = [store]

    while len(renewed) < 40:
        now += looks.interval
        store = 1000 + int(rate * now)
        looks.saw(store, now)
        renewal.looked(renewal.first)
        if renewal.due(store):
            second = Registered(store, member="a")
            assert renewal.overlap(second, now)
            assert renewal.ended(properly=True) is Ended.GO_ON
            renewal.begin(second, path_answers=True)
            renewed.append(store)

    gaps = [later - earlier for earlier, later in itertools.pairwise(renewed)]
    assert 295 <= sum(gaps) / len(gaps) <= 360, gaps
    assert max(gaps) <= 455, gaps  # the probes are 150 events apart


def test_index_is_probed_every_20_ms_at_first_and_every_5_s_at_last() -> None:
    looks = ProbeInterval()
    assert looks.interval == 0.02
    for number in range(1, 20):
        looks.saw(5, float(number))
    assert looks.interval == 5


@pytest.mark.parametrize(("entries", "leaps"), [(4999, False), (5000, True)])
def test_member_that_goes_on_by_5000_entries_at_once_may_have_been_sent_a_snapshot(entries: int, leaps: bool) -> None:
    chain = RaftChain()
    chain.note(10, 20, 1.0)
    chain.note(11, 20 + entries, 2.0)
    assert (chain.leaping > 0) is leaps


class Part(bytes):
    """Bytes that say of themselves that they are longer than they are."""

    length = 0

    def __len__(self) -> int:
        return self.length


def test_one_event_of_a_watch_may_have_256_mib() -> None:
    whole = Part()
    whole.length = 256 * 1024 * 1024
    buffer = EventBuffer()
    buffer.add(whole)
    with pytest.raises(TransportFailure, match="more than 268435456 bytes"):
        buffer.add(b"x")


# --- errors -----------------------------------------------------------------------------------------------------------


def test_512_bytes_of_an_unexpected_answer_are_kept() -> None:
    error = UnexpectedAnswer("a page", status=200, content_type="", body=b"x" * 513, endpoint="http://a:2379")
    assert len(error.body) == 512

    body = b"x" * 1000
    course = Course(READ, endpoints=1)
    with pytest.raises(UnexpectedAnswer) as caught:
        course.run(Reply(200, plain(200).headers, body))
    assert caught.value.body == b"x" * 512
    assert finding.MOST_SHOWN_BYTES == 512
