"""The wire format of protocol buffers, as much of it as etcd's files need.

Owns tags, varints and lengths. Knows no message of etcd.
"""

from __future__ import annotations


class Malformed(ValueError):
    """These bytes are no such message."""


class Fields:
    """The fields of one message by their numbers; of repeats the last counts, `all` has every one."""

    __slots__ = ("_numbers", "_texts")

    def __init__(self, data: bytes) -> None:
        """Raises Malformed."""
        self._numbers: dict[int, int] = {}
        self._texts: dict[int, list[bytes]] = {}
        at, end = 0, len(data)
        while at < end:
            tag, at = _varint(data, at, end)
            number, kind = tag >> 3, tag & 7
            if number == 0:
                raise Malformed("a field has the number 0")
            if kind == 0:
                self._numbers[number], at = _varint(data, at, end)
                continue
            if kind == 2:
                size, at = _varint(data, at, end)
            elif kind in (1, 5):  # fixed 64 and 32 bits: none of ours
                size = 8 if kind == 1 else 4
            else:
                raise Malformed(f"a field has the wire type {kind}")
            if size > end - at:
                raise Malformed("a field is longer than its message")
            if kind == 2:
                self._texts.setdefault(number, []).append(data[at : at + size])
            at += size

    def number(self, field: int) -> int:
        """An unsigned number, 0 where it is missing."""
        return self._numbers.get(field, 0)

    def signed(self, field: int) -> int:
        """An int64, 0 where it is missing."""
        number = self._numbers.get(field, 0)
        return number - (1 << 64) if number >> 63 else number

    def flag(self, field: int) -> bool | None:
        """None where it is missing."""
        number = self._numbers.get(field)
        return None if number is None else number != 0

    def raw(self, field: int) -> bytes:
        """Bytes, a text or a message; b"" where it is missing."""
        found = self._texts.get(field)
        return found[-1] if found else b""

    def all(self, field: int) -> list[bytes]:
        """All of a repeated field."""
        return self._texts.get(field, [])

    def has(self, field: int) -> bool:
        return field in self._texts


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    number = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise Malformed("a number has more than ten bytes")
    raise Malformed("a number is cut off")
