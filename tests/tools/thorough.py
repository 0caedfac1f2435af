"""`@pytest.mark.thorough`: `make test` runs few rows of such a test, in which every value of each parameter occurs.

`make test-load` runs the others: they get the mark `load`. With `versions=True` they are too many for that, and
`make test-versions` has them. Owns which are which.
"""

from __future__ import annotations

import os

import pytest

from tests.tools.covering import EVERY, covering

MARK = "thorough"


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what `-m` does not ask for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rows: dict[str, dict[pytest.Item, tuple[str, ...]]] = {}
    for item in items:
        if item.get_closest_marker(MARK) is not None and not (_take_long(item) and os.environ.get(EVERY)):
            face = next((one for one in ("_async", "_sync") if f"/{one}/" in item.nodeid), "")
            test, _, ids = item.nodeid.replace(f"/{face}/", "/").partition("[")
            rows.setdefault(test, {})[item] = (face, *ids.removesuffix("]").split("-"))

    left_out: list[pytest.Item] = []
    for test, sides in rows.items():
        few = covering(test, list(sides.values()))
        for item in [item for item, row in sides.items() if row not in few]:
            if _take_long(item):
                left_out.append(item)
            else:
                item.add_marker(pytest.mark.load)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _take_long(item: pytest.Item) -> bool:
    """Whether the rows that `make test` leaves out are for `make test-versions`."""
    mark = item.get_closest_marker(MARK)
    return mark is not None and bool(mark.kwargs.get("versions"))
