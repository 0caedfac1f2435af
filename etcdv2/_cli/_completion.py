"""`completion`: a script for a shell, as it was written when the package was made."""

from __future__ import annotations

from pathlib import Path

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK, UsageError

SHELLS = ("bash", "zsh", "tcsh")


def completion(context: Context) -> int:
    shell = context.words[0]
    if shell not in SHELLS:
        raise UsageError(f"there is no completion for {shell}: {', '.join(SHELLS)}")
    context.output.write((Path(__file__).parent / "completions" / f"etcdv2.{shell}").read_text(encoding="utf-8"))
    return OK


COMPLETION = Command(
    completion,
    "SHELL",
    words=(1, 1),
    about='The completion of this program for bash, zsh or tcsh: eval "$(etcdv2 completion bash)" in .bashrc, or the '
    "output as _etcdv2 in a directory of $fpath of zsh.",
)
