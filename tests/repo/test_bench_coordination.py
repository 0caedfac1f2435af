"""bench.coordination: its figures and its table. Says nothing about how quick anything is."""

from __future__ import annotations

from bench import coordination

MS = 1_000_000


def test_a_hand_over_counts_where_the_next_one_was_waiting() -> None:
    """From the moment when one lets go to that when the next has it; who came after that did not wait."""
    one = [[0, 10 * MS, 12 * MS], [30 * MS, 31 * MS, 33 * MS]]
    other = [[1 * MS, 14 * MS, 16 * MS]]
    figures = coordination.hand_over([one, other])
    assert figures == {"hand-over, median ms": 4.0, "hand-over, 99 % ms": 4.0}


def test_rounds_and_items_are_timed_in_milliseconds() -> None:
    rounds = [[0, 2 * MS, 5 * MS], [0, 1 * MS, 3 * MS], [0, 1 * MS, 4 * MS]]
    assert coordination.uncontended([rounds]) == {"round, median ms": 4.0, "round, 99 % ms": 5.0}
    assert coordination.items([rounds])["take and ack, median ms"] == 3.0


def test_the_table_has_ratios_of_this_client_to_the_others() -> None:
    entries = {"etcdv2": {"round, median ms": 3.0}, "python-etcd": {"round, median ms": 6.0}}
    text = coordination.render(
        {
            "date": "2026-01-02",
            "etcd": "3.5.1",
            "cores": 2,
            "load": 1.0,
            "kernel": "6.1",
            "rounds": 3,
            "cases": {"uncontended": {"title": "acquire and release", "entries": entries}},
            "left_out": [["Go client", "", "go is not on the PATH"]],
        }
    )
    assert "| python-etcd | 6.00 (0.50 x) |" in text
    assert "- Go client: go is not on the PATH" in text
