"""Which of all combinations of sides a case is run with: few, but every side is among them.

Two faces, two transports and two versions of etcd make eight runs of one case. Whether a promise is
kept does not hang on all three at once: two runs will do, where the second differs from the first in
every side. Which two they are changes from case to case, so that neighbours meet all eight.
`ETCDV2_TEST_EVERY_COMBINATION=1` runs the whole product.

Owns the choice. Knows no pytest.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Sequence

EVERY = "ETCDV2_TEST_EVERY_COMBINATION"
"""The variable of the environment that asks for the whole product."""
Sides = tuple[Hashable, ...]
"""What a case is run with: such as a face, a transport and a version, always in the same order."""


def covering(case: str, product: Sequence[Sides]) -> list[Sides]:
    """Few rows of this product, with every side that is in it. Always the same for the same case and product."""
    first = zlib.crc32(case.encode()) % len(product)
    turned = [*product[first:], *product[:first]]

    missing = {side for sides in product for side in enumerate(sides)}
    chosen: list[Sides] = []
    while missing:
        best = max(turned, key=lambda sides: len(missing & set(enumerate(sides))))
        missing -= set(enumerate(best))
        chosen.append(best)
    return chosen
