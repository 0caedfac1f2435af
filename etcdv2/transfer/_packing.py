"""How a file is compressed, by the suffix of its name: `.gz`, `.zst`, or not at all.

Owns the choice of a library for `.zst`: that of Python 3.14, else the package `zstandard`. Knows no format inside.
"""

from __future__ import annotations

import gzip
import importlib
import io
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from etcdv2.transfer._errors import DamagedFile, TransferError

_DAMAGE: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error)


@contextmanager
def packing(plain: IO[bytes], suffix: str) -> Generator[IO[bytes]]:
    """What is written into it goes into `plain`, which stays open. Raises TransferError without a library."""
    if suffix == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0) as packed:
            yield cast("IO[bytes]", packed)
    elif suffix == ".zst":
        library = _zstd()
        if library.__name__ == "zstandard":
            opened = library.ZstdCompressor(write_checksum=True).stream_writer(plain, closefd=False)
        else:
            opened = library.open(plain, "wb", options={library.CompressionParameter.checksum_flag: 1})
        with opened as packed:
            yield packed
    else:
        yield plain


@contextmanager
def unpacking(path: Path) -> Generator[IO[bytes]]:
    """The bytes in a file. Raises DamagedFile while they are read, TransferError without a library, and OSError."""
    damage = _DAMAGE
    with path.open("rb") as plain:
        stream: Any = plain
        if path.suffix == ".gz":
            stream = gzip.GzipFile(fileobj=plain)
        elif path.suffix == ".zst":
            library = _zstd()
            damage += (library.ZstdError,)
            if library.__name__ == "zstandard":
                stream = io.BufferedReader(library.ZstdDecompressor().stream_reader(plain), 1 << 18)
            else:
                stream = library.open(plain)

        try:
            yield stream
        except damage as error:
            raise DamagedFile(path, f"it cannot be unpacked: {error}") from None


def _zstd() -> Any:
    for name in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise TransferError("a name that ends in .zst needs the package zstandard: pip install 'etcdv2[zstd]'")
