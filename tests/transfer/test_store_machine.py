"""The v2 store in Python is what real servers are: any requests, in any order, answered the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from etcdv2.testing import Server
from tests.tools.store_machine import StoreMachine

usual = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def own_server(etcd_binary: Path) -> Iterator[Server]:
    """Indexes of all its writes are counted: nobody else may write to it."""
    with Server(etcd_binary, fsync=False) as server:
        yield server


def run(server: Server, examples: int, steps: int) -> None:
    def machine() -> StoreMachine:
        return StoreMachine(server)

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # called without arguments, like a class
        settings=settings(usual, max_examples=examples, stateful_step_count=steps),
    )


def test_the_store_answers_as_a_real_server(own_server: Server) -> None:
    run(own_server, examples=15, steps=40)


@pytest.mark.load
@pytest.mark.timeout(1500)
def test_the_store_answers_as_a_real_server_for_long(own_server: Server) -> None:
    run(own_server, examples=75, steps=80)
