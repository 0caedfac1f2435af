"""What is in the key of a counter: its number, and a word that only one write has.

Owns that form; no I/O. By that word a write whose answer was lost is told from another program's
write of the same number.
"""

from __future__ import annotations


def number_in(value: str, key: str) -> int:
    """Reads a plain number too, as other programs may have written it. Raises ValueError for anything else."""
    try:
        return int(value.split()[0])
    except (ValueError, IndexError):
        raise ValueError(f"{key} is no counter: its value is {value!r}") from None


def with_nonce(number: int, nonce: str) -> str:
    """What is written for this number, once."""
    return f"{number} {nonce}"
