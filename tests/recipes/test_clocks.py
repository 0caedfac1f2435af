"""How far members' clocks are apart, as answers show it: tables, without a server."""

from __future__ import annotations

from etcdv2.recipes._clocks import EACH_SECONDS, KEPT, MemberClocks

TTL = 10


def seen(clocks: MemberClocks, at: float, ahead: float, took: float = 0.2) -> None:
    """A write that took so long, taken in its middle by a member whose clock is so far ahead of ours."""
    clocks.note(at, at + took, 1e9 + at + took / 2 + ahead + TTL, TTL)


def test_what_a_write_took_proves_nothing() -> None:
    clocks = MemberClocks()
    assert clocks.apart == 0
    seen(clocks, 0, 0.0)
    seen(clocks, 1, 0.15)
    assert clocks.apart == 0
    seen(clocks, 2, 1.0)
    assert 0.79 < clocks.apart < 0.81
    seen(clocks, 3, -3.0, took=8)
    assert 0.79 < clocks.apart < 0.81


def test_what_was_seen_long_ago_is_forgotten() -> None:
    clocks = MemberClocks()
    seen(clocks, 0, -5.0)
    for number in range(2 * KEPT):
        seen(clocks, number * EACH_SECONDS / 2, 0.0)
    assert clocks.apart > 4
    seen(clocks, (KEPT + 1) * EACH_SECONDS, 0.0)
    assert clocks.apart == 0
