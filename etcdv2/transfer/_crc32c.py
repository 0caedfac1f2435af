"""CRC32C (Castagnoli), by a compiled library where one is installed.

Owns the choice: `google-crc32c`, then `crc32c`, else 8 bytes at a time in Python, some MB a second.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

Extend = Callable[[int, bytes], int]
_POLYNOMIAL = 0x82F6_3B78


def _tables() -> list[list[int]]:
    first: list[int] = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        first.append(crc)
    tables = [first]
    for _ in range(7):
        tables.append([first[crc & 0xFF] ^ crc >> 8 for crc in tables[-1]])
    return tables


_TABLES: list[list[int]] = []


def extend_in_python(crc: int, data: bytes) -> int:
    """The checksum of what had `crc` and of `data` behind it."""
    if not _TABLES:
        _TABLES.extend(_tables())
    t0, t1, t2, t3, t4, t5, t6, t7 = _TABLES
    crc ^= 0xFFFF_FFFF

    whole = len(data) & ~7
    for at in range(0, whole, 8):
        low = crc ^ int.from_bytes(data[at : at + 4], "little")
        crc = (
            t7[low & 0xFF] ^ t6[low >> 8 & 0xFF] ^ t5[low >> 16 & 0xFF] ^ t4[low >> 24]
            ^ t3[data[at + 4]] ^ t2[data[at + 5]] ^ t1[data[at + 6]] ^ t0[data[at + 7]]
        )  # fmt: skip
    for byte in data[whole:]:
        crc = t0[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFF_FFFF


def find_extend() -> Extend:
    """The fastest that is here: called with a checksum and the bytes behind it."""
    try:
        google: Extend = importlib.import_module("google_crc32c").extend
    except ImportError:
        pass
    else:
        return google

    try:
        other: Callable[[bytes, int], int] = importlib.import_module("crc32c").crc32c
    except ImportError:
        return extend_in_python
    return lambda crc, data: other(data, crc)
