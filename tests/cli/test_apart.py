"""What signals interrupt at any step, so that a command ends nevertheless."""

from __future__ import annotations

import sys
from time import sleep

import pytest

from etcdv2._cli import _apart, _processes
from etcdv2._cli._apart import apart
from etcdv2._cli._processes import Process
from tests.tools.anywhere import raised_anywhere


def test_what_is_done_apart_is_given_or_raised() -> None:
    assert apart(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)


def test_whoever_waits_for_what_is_done_apart_is_ended_by_a_signal_at_any_step() -> None:
    steps = list(raised_anywhere(lambda: 0.01, lambda time: apart(lambda: sleep(time)), "threading", _apart.__name__))
    assert [where for where, ended in steps if not ended] == []
    assert any("Once.wait" in where for where, _ in steps)


def test_a_program_is_ended_after_a_signal_at_any_step() -> None:
    programs: list[Process] = []

    # It still runs when it has been waited for, so that it has to be ended.
    def begun() -> Process:
        programs.append(Process([sys.executable, "-S", "-c", "import time; time.sleep(0.2)"], {}))
        return programs[-1]

    def waited_for_and_ended(program: Process) -> None:
        try:
            program.wait(0.01)
        finally:
            program.end()

    steps = list(raised_anywhere(begun, waited_for_and_ended, "subprocess", _processes.__name__, _apart.__name__))
    assert [where for where, ended in steps if not ended] == []
    assert any("Process.wait" in where for where, _ in steps)
    for program in programs:
        program.end()
