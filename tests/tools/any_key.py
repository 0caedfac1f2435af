"""Any text and any key, as hypothesis makes them up; and how the examples of one test meet one server."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
SEGMENT = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
LONE = "a\ud800"
"""Has no UTF-8."""
KEY = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)


def examples(count: int) -> settings:
    """The same ones in each run. One server and one client serve them all; each example cleans up its own tree."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
