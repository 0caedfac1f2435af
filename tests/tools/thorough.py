"""`@pytest.mark.thorough`: `make test` runs few rows of such a test, in which every value of each parameter occurs.

`make test-load` runs the others: they get the mark `load`. Owns which are which.
"""

from __future__ import annotations

import pytest

from tests.tools.covering import covering

MARK = "thorough"


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what `-m` does not ask for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rows: dict[str, dict[pytest.Item, tuple[str, ...]]] = {}
    for item in items:
        if item.get_closest_marker(MARK) is not None:
            face = next((one for one in ("_async", "_sync") if f"/{one}/" in item.nodeid), "")
            test, _, ids = item.nodeid.replace(f"/{face}/", "/").partition("[")
            rows.setdefault(test, {})[item] = (face, *ids.removesuffix("]").split("-"))

    for test, sides in rows.items():
        few = covering(test, list(sides.values()))
        for item, row in sides.items():
            if row not in few:
                item.add_marker(pytest.mark.load)
