"""What one command has to say of itself: its words, its flags, its formats, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import argparse


def no_options(parser: argparse.ArgumentParser) -> None:
    """For a command that has the global flags only."""


class Command(NamedTuple):
    """One command: its words, its flags, and what it does."""

    run: Callable[[Any], int]
    """Gets the `Context` and returns the exit code; raises what went wrong."""
    usage: str = ""
    """The words behind the command, as the help shows them."""
    options: Callable[[argparse.ArgumentParser], None] = no_options
    words: tuple[int, int | None] = (0, 0)
    """How many words it takes: at least, and at most (None for any number)."""
    formats: tuple[str, ...] = ("human",)
    """What `-o` may ask for."""
    about: str = ""
    """What the help says behind the summary."""
    takes_command: bool = False
    """Whether a command to run follows behind `--`."""
    bounded: bool = True
    """Whether --timeout holds for the whole command; else for each request."""
