"""What a client has seen of its cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.etcd_headers import Meta, member_of, meta_of, process_of
from etcdv2._types.call_errors import ClusterChanged

OURS, THEIRS = "cafe", "beef"


def seen(index: int, term: int = 2, cluster: str = OURS) -> Meta:
    return Meta(index, index + 10, term, cluster)


def view_at(index: int, term: int = 2) -> ClusterView:
    view = ClusterView()
    view.note(seen(index, term))
    return view


def test_headers_are_read_as_numbers_and_missing_ones_as_nothing() -> None:
    heads = {"x-etcd-index": "18446744073709551615", "x-raft-index": "2", "x-raft-term": "3", "x-etcd-cluster-id": OURS}
    assert meta_of(heads) == Meta(2**64 - 1, 2, 3, OURS)
    assert meta_of({}) == Meta(0, 0, 0, "")
    assert meta_of({"x-etcd-index": ""}) == Meta(0, 0, 0, "")


@pytest.mark.parametrize("name", ["x-etcd-index", "x-raft-index", "x-raft-term"])
@pytest.mark.parametrize("value", ["many", "1.0", "1 2", "-5", "1_0", "1" * 21])
def test_header_that_is_no_number_is_a_value_error(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="X-Etcd-Index"):
        meta_of({name: value})


def test_process_is_a_member_and_its_start_and_unknown_without_one_of_them() -> None:
    stats = b'{"name":"a","id":"f00d","state":"StateLeader","startTime":"2026-11-22T08:23:29.67Z"}'
    assert (member_of(stats), process_of(stats)) == ("f00d", "f00d since 2026-11-22T08:23:29.67Z")
    for unknown in (
        b"",
        b"{}",
        b"[]",
        b'{"id":"f00d"}',
        b'{"startTime":"now"}',
        b'{"id":"f00d","startTime":7}',
        b"page",
    ):
        assert process_of(unknown) == ""


def test_no_cluster_is_foreign_before_the_first_answer() -> None:
    view = ClusterView()
    assert not view.is_foreign(OURS)
    assert not view.is_behind(seen(1))


def test_answer_without_cluster_id_is_not_foreign_and_leaves_the_id() -> None:
    view = view_at(5)
    assert not view.is_foreign("")
    view.note(Meta(0, 0, 0, ""))
    assert (view.cluster_id, view.index, view.term) == (OURS, 5, 2)


def test_other_id_is_foreign() -> None:
    assert view_at(5).is_foreign(THEIRS)
    assert not view_at(5).is_foreign(OURS)


@pytest.mark.parametrize(
    ("index", "term", "behind"),
    [(9, 2, True), (10, 1, True), (11, 1, True), (10, 2, False), (11, 3, False), (0, 0, False), (0, 2, False)],
)
def test_older_index_or_term_is_behind_and_an_unknown_one_is_not(index: int, term: int, behind: bool) -> None:
    assert view_at(10).is_behind(seen(index, term)) is behind


def test_nothing_of_the_old_cluster_counts_in_a_new_one() -> None:
    view = view_at(1000, 9)
    view.switch_to(THEIRS)
    assert not view.is_foreign(THEIRS)
    assert view.is_foreign(OURS)
    assert not view.is_behind(seen(1, 1, THEIRS))


@pytest.mark.parametrize(("index", "term"), [(1000, 9), (1001, 9), (1000, 10), (0, 0), (0, 9), (1000, 0)], ids=str)
def test_quorum_that_has_all_that_was_seen_is_no_contradiction(index: int, term: int) -> None:
    view = view_at(1000, 9)
    view.check_not_put_back(view.seen, seen(index, term), "http://a")
    assert (view.index, view.term) == (1000, 9)


@pytest.mark.parametrize(("index", "term"), [(999, 9), (999, 0), (5000, 8), (10, 2)])
def test_quorum_that_has_less_ends_the_session_once(index: int, term: int) -> None:
    view = view_at(1000, 9)
    before = view.seen
    quorum = Meta(index, 0, term, OURS)
    with pytest.raises(ClusterChanged, match=f"index 1000 and raft term 9 were seen.*index {index}"):
        view.check_not_put_back(before, quorum, "http://a")
    assert (view.cluster_id, view.index, view.term) == (OURS, index, term)
    assert not view.is_behind(quorum)


def test_store_that_another_call_has_gone_over_to_is_not_forgotten_again() -> None:
    view = view_at(1000, 9)
    before = view.seen
    view.switch_to(OURS)
    view.note(seen(500, 3))
    with pytest.raises(ClusterChanged):
        view.check_not_put_back(before, seen(400, 3), "http://a")
    assert (view.index, view.term) == (500, 3)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5))))
def test_what_was_seen_only_grows(answers: list[tuple[int, int]]) -> None:
    view = ClusterView()
    for index, term in answers:
        before = (view.index, view.term)
        view.note(seen(index, term))
        assert (view.index, view.term) == (max(before[0], index), max(before[1], term))
        assert not view.is_behind(seen(view.index, view.term))
