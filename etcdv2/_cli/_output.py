"""What is written to stdout and stderr: data and nothing else, in the format that was asked for.

Owns the streams, the colours and the rule how a text that is not plain is shown on one line.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

COLOURS = {"blue": "1;34", "green": "32", "yellow": "33", "red": "31", "dim": "2"}


class Output:
    """Stdout and stderr of one command."""

    def __init__(self, form: str, environ: Mapping[str, str], *, colours: bool) -> None:
        self.form = form
        """One of the formats of `-o`."""
        self._coloured = {id(stream): colours and wants_colour(stream, environ) for stream in (sys.stdout, sys.stderr)}
        self.by_line = False
        """Whether each line is sent off as soon as it is there, as a watch does."""

    @property
    def for_programs(self) -> bool:
        """Whether JSON was asked for."""
        return self.form in ("json", "jsonl")

    @property
    def terminal(self) -> bool:
        """Whether stdout is one."""
        return sys.stdout.isatty()

    def line(self, text: str) -> None:
        self.write(text + "\n")

    def write(self, text: str) -> None:
        """As it is, with no newline of its own."""
        sys.stdout.write(text)
        if self.by_line:
            sys.stdout.flush()

    def document(self, document: object) -> None:
        """One line of JSON."""
        self.line(compact(document))

    def yaml(self, document: object) -> None:
        """As YAML. Raises UsageError without PyYAML."""
        self.write(as_yaml(document))

    def say(self, text: str) -> None:
        """One line on stderr."""
        print(f"etcdv2: {text}", file=sys.stderr, flush=True)

    def paint(self, text: str, colour: str) -> str:
        """Coloured where stdout takes colours."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._coloured[id(sys.stdout)] else text

    def paint_error(self, text: str, colour: str) -> str:
        """The same for stderr."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._coloured.get(id(sys.stderr)) else text

    def key(self, key: str, *, dir: bool = False, slash: bool = False) -> str:
        """A key for a listing: on a terminal without what could move its cursor."""
        text = shown(key) if self.terminal else key
        text += "/" if slash and dir and not text.endswith("/") else ""
        return self.paint(text, "blue") if dir else text


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """NO_COLOR (https://no-color.org) wins over FORCE_COLOR, and that over what the stream is."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def compact(document: object) -> str:
    """JSON on one line."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text if not any("\ud800" <= letter <= "\udfff" for letter in text) else json.dumps(document)


def shown(text: str) -> str:
    """As it is where it is plain; as JSON where it would not be one visible piece of a line."""
    plain = text.isprintable() and text == text.strip() and text != "" and text[0] != '"'
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def as_yaml(document: object) -> str:
    """Raises UsageError without PyYAML."""
    from etcdv2._cli._failures import UsageError

    try:
        import yaml
    except ImportError:
        raise UsageError("YAML needs PyYAML: pip install pyyaml, or etcdv2[cli]") from None
    text: str = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, default_flow_style=False)
    return text


def table(rows: list[list[str]]) -> list[str]:
    """Columns two spaces apart, of texts without colour."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def prepare_streams() -> None:
    """UTF-8, whatever the locale says: values are. A byte of a key that is no UTF-8 comes out as it is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def document_of(given: Any, **more: object) -> dict[str, Any]:
    """A model as the server spells it, without what it does not have."""
    found: dict[str, Any] = given.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return more | found
