"""`@pytest.mark.thorough`: `make test` runs few rows of such a test, in which every value of each parameter occurs.

`make test-load` runs the others: they get the mark `load`. With `versions=True` they are too many for that, and
`make test-versions` has them. Owns which are which.
"""

from __future__ import annotations

import os

import pytest

from tests.tools.covering import covering

MARK = "thorough"
EVERY = "ETCDV2_TEST_EVERY_COMBINATION"


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what `-m` does not ask for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rows: dict[str, dict[pytest.Item, tuple[str, ...]]] = {}
    for item in items:
        mark = item.get_closest_marker(MARK)
        if mark is not None and not (mark.kwargs.get("versions") and os.environ.get(EVERY)):
            face = next((one for one in ("_async", "_sync") if f"/{one}/" in item.nodeid), "")
            test, _, ids = item.nodeid.replace(f"/{face}/", "/").partition("[")
            rows.setdefault(test, {})[item] = (face, *ids.removesuffix("]").split("-"))

    left_out: list[pytest.Item] = []
    for test, sides in rows.items():
        few = covering(test, list(sides.values()))
        for item in [item for item, row in sides.items() if row not in few]:
            mark = item.get_closest_marker(MARK)
            if mark is not None and mark.kwargs.get("versions"):
                left_out.append(item)
            else:
                item.add_marker(pytest.mark.load)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]
