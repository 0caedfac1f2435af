"""Endpoints with their health: order, rest, recovery. A fake clock: times are plain numbers."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.endpoints import Endpoint
from tests.tools.course import Straight

A, B, C, D = (Endpoint("http", host, 2379) for host in "abcd")
WHY = "connection refused"


class Jittering(random.Random):
    """No shuffling."""

    def shuffle(self, x: Any) -> None:
        pass


def pool_of(*endpoints: Endpoint) -> EndpointPool:
    return EndpointPool(endpoints, Straight())


def test_start_is_random() -> None:
    starts = {EndpointPool([A, B, C], random.Random(seed)).first for seed in range(40)}
    assert starts == {A, B, C}


def test_all_endpoints_are_in_every_order_once() -> None:
    assert pool_of(A, B, C).order(0) == [A, B, C]
    assert pool_of(A).order(0) == [A]


def test_endpoint_that_answers_stays_the_first() -> None:
    pool = pool_of(A, B, C)
    pool.succeeded(B)
    assert pool.first == B
    assert pool.order(0) == [B, C, A]


def test_resting_endpoint_is_tried_last() -> None:
    pool = pool_of(A, B, C)
    pool.failed(A, 0, WHY)
    assert pool.first == B
    assert pool.order(0) == [B, C, A]


def test_failure_of_another_endpoint_does_not_move_the_first() -> None:
    pool = pool_of(A, B, C)
    pool.failed(C, 0, WHY)
    assert pool.first == A
    assert pool.order(0) == [A, B, C]


def test_resting_endpoints_are_tried_longest_rested_first() -> None:
    pool = pool_of(A, B, C)
    for now, endpoint in enumerate((C, A, B)):
        pool.failed(endpoint, now / 10, WHY)
    assert pool.order(0.3) == [C, A, B]


def test_rest_ends_by_itself() -> None:
    pool = pool_of(A, B)
    pool.failed(B, 0, WHY)
    pool.failed(A, 0, WHY)
    assert set(pool.order(0.5)) == {A, B}
    pool.failed(A, 0.5, WHY)
    assert pool.order(0.5) == [B, A]


def rest_of(pool: EndpointPool, now: float) -> float:
    """Seconds from `now` until A, in a pool of A, B and C, comes before B again."""
    pool.prefer(C)
    low, high = 0.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if pool.order(now + middle)[-1] == A else (low, middle)
    return high


def test_rest_doubles_with_each_failure_up_to_the_longest() -> None:
    pool = pool_of(A, B, C)
    now, rests = 0.0, list[float]()
    for _ in range(9):
        pool.failed(A, now, WHY)
        rests.append(rest_of(pool, now))
        now += 31
    assert rests[:6] == pytest.approx([0.5, 1, 2, 4, 8, 16], abs=0.01)
    assert rests[6:] == pytest.approx([30, 30, 30], abs=0.01)


def test_failures_of_calls_that_were_under_way_together_count_as_one() -> None:
    pool = pool_of(A, B, C)
    for _ in range(20):
        pool.failed(A, 0, WHY)
    assert rest_of(pool, 0) <= 1.0


def test_rest_is_never_the_same_for_two_clients() -> None:
    found: set[float] = set()
    for seed in range(5):
        pool = EndpointPool([A, B, C], Jittering(seed))
        pool.failed(A, 0, WHY)
        found.add(round(rest_of(pool, 0), 6))
    assert len(found) == 5
    assert all(0.25 <= rest <= 0.501 for rest in found)


def test_answer_ends_the_rest_and_the_next_one_is_short_again() -> None:
    pool = pool_of(A, B, C)
    for now in (0, 100, 200):
        pool.failed(A, now, WHY)
    pool.succeeded(A)
    assert pool.order(200)[0] == A
    pool.failed(A, 300, WHY)
    assert rest_of(pool, 300) == pytest.approx(0.5, abs=0.01)


def test_endpoint_without_v2_is_skipped_for_long_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    pool = pool_of(A, B)
    pool.without_v2(A, 0)
    pool.without_v2(A, 10)
    assert pool.order(10 + 29) == [B, A]
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING


def test_endpoint_of_another_cluster_is_behind_all_others_until_it_is_ours_again() -> None:
    pool = pool_of(A, B, C)
    pool.quarantine(A, 0, "beef")
    pool.failed(B, 0, WHY)
    pool.failed(C, 0, WHY)
    assert pool.order(0)[-1] == A
    assert pool.order(10**6)[-1] == A
    pool.succeeded(A)
    assert pool.order(0)[0] == A


def test_readmitting_ends_every_quarantine() -> None:
    pool = pool_of(A, B)
    pool.quarantine(A, 0, "beef")
    assert not pool.all_quarantined()
    pool.quarantine(B, 0, "beef")
    assert pool.all_quarantined()
    pool.readmit()
    assert not pool.all_quarantined()
    assert set(pool.order(0)) == {A, B}


def test_preferred_endpoint_is_the_first_unless_unknown() -> None:
    pool = pool_of(A, B, C)
    pool.prefer(C)
    assert pool.order(0) == [C, A, B]
    pool.prefer(D)
    assert pool.first == C


def test_discovered_endpoints_come_and_go_and_the_configured_ones_stay() -> None:
    pool = pool_of(A, B)
    pool.discovered([B, C, C])
    assert list(pool.endpoints) == [A, B, C]
    pool.discovered([D])
    assert list(pool.endpoints) == [A, B, D]
    pool.discovered([])
    assert list(pool.endpoints) == [A, B]


def test_discovery_keeps_the_health_of_who_stays() -> None:
    pool = pool_of(A, B)
    pool.discovered([C])
    pool.failed(A, 0, WHY)
    pool.failed(C, 0, WHY)
    pool.discovered([C, D])
    assert pool.order(0) == [B, D, C, A]


def test_first_endpoint_that_is_no_longer_advertised_is_left() -> None:
    pool = pool_of(A, B)
    pool.discovered([C])
    pool.succeeded(C)
    pool.discovered([])
    assert pool.first == A


def test_late_answer_of_a_dropped_endpoint_does_not_bring_it_back() -> None:
    pool = pool_of(A)
    pool.discovered([C])
    pool.discovered([])
    pool.succeeded(C)
    assert pool.first == A
    assert pool.order(0) == [A]


def test_news_of_an_endpoint_that_is_gone_change_nothing() -> None:
    pool = pool_of(A, B)
    pool.succeeded(D)
    pool.failed(D, 0, WHY)
    pool.without_v2(D, 0)
    pool.quarantine(D, 0, "beef")
    assert pool.order(0) == [A, B]


def test_order_holds_between_any_two_steps_of_a_discovery() -> None:
    """Another thread may ask at any moment."""

    class Watched(EndpointPool):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if hasattr(self, "_first"):
                orders.append(self.order(0))

    orders: list[list[Endpoint]] = []
    pool = Watched([A, B], Straight())
    pool.discovered([C])
    pool.succeeded(C)
    pool.discovered([D])
    assert orders
    assert all({A, B} <= set(order) for order in orders)


def test_pool_shows_what_it_knows() -> None:
    pool = pool_of(A, B, C, D)
    pool.failed(B, 0, WHY)
    pool.failed(B, 10, WHY)
    pool.without_v2(C, 0)
    pool.quarantine(D, 0, "beef")
    assert repr(pool) == (
        "<EndpointPool at http://a:2379: http://a:2379 (well), http://b:2379 (2 failures),"
        " http://c:2379 (no v2 API), http://d:2379 (of cluster beef)>"
    )


def test_outage_is_logged_once_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "etcdv2")
    pool = pool_of(A, B)
    for now in range(5):
        pool.failed(A, now * 100, WHY)
    pool.succeeded(A)
    pool.succeeded(A)
    assert [record.getMessage() for record in caplog.records] == [
        f"endpoint http://a:2379 rests: {WHY}",
        "endpoint http://a:2379 answers again",
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["succeeded", "failed", "without_v2", "quarantine", "prefer", "discovered", "readmit"]),
            st.sampled_from([A, B, C, D]),
            st.floats(0, 100),
        ),
        max_size=30,
    )
)
def test_configured_endpoints_are_never_used_up(steps: list[tuple[str, Endpoint, float]]) -> None:
    pool, now = EndpointPool([A, B], random.Random(1)), 0.0
    for what, endpoint, later in steps:
        now += later
        match what:
            case "failed":
                pool.failed(endpoint, now, WHY)
            case "without_v2":
                pool.without_v2(endpoint, now)
            case "quarantine":
                pool.quarantine(endpoint, now, "beef")
            case "discovered":
                pool.discovered([endpoint])
            case "readmit":
                pool.readmit()
            case _:
                getattr(pool, what)(endpoint)
        order = pool.order(now)
        assert {A, B} <= set(order)
        assert len(order) == len(set(order))
        assert set(order) == set(pool.endpoints)
        assert pool.first in order
