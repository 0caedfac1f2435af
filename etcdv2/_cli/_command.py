"""What one command has to say of itself: its words, its flags, its formats, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import argparse


def no_options(parser: argparse.ArgumentParser) -> None:
    """For a command that has the global flags only."""


def always(options: Any) -> bool:
    """For a command that goes on until it is ended."""
    return True


def never(options: Any) -> bool:
    """For one that ends by itself."""
    return False


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
    endless: Callable[[Any], bool] = never
    """Whether it goes on until it is ended, by its flags: then --timeout ends it, and no variable does."""
    alarm: bool = False
    """Whether --timeout ends it while it waits for something else than an answer, too: programs, locks, files."""
