"""Hooks around attempts: they are seen, and can hide nothing."""

from __future__ import annotations

import asyncio

import pytest

from etcdv2 import AsyncClient
from etcdv2._types.hooks import AttemptInfo, call_hook
from tests.tools.fault_server import FaultServer, stall

INFO = AttemptInfo("put_key", "PUT", "/v2/keys/a", "http://a:2379", 1)


def test_hook_gets_the_attempt() -> None:
    seen: list[AttemptInfo] = []
    call_hook(seen.append, INFO)
    assert seen == [INFO]


def test_before_an_attempt_nothing_is_known_of_its_end() -> None:
    assert (INFO.status, INFO.elapsed, INFO.error) == (None, 0.0, None)


def test_error_of_a_hook_is_logged_and_hides_no_outcome(caplog: pytest.LogCaptureFixture) -> None:
    def broken(info: AttemptInfo) -> None:
        raise RuntimeError(f"no {info.operation} for me")

    call_hook(broken, INFO)
    assert "no put_key for me" in caplog.text
    assert [record.name for record in caplog.records] == ["etcdv2"]


async def test_cancelled_attempt_has_an_end_too() -> None:
    seen: list[AttemptInfo] = []
    with FaultServer(default=stall()) as server:
        async with AsyncClient(server.endpoint.url, after_attempt=seen.append) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.keys.get("/a"), 0.1)
    assert [(one.status, one.error) for one in seen] == [(None, "CancelledError")]
    assert 0 < seen[0].elapsed < 60


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_hook_does_not_swallow_the_end_of_the_program(stop: type[BaseException]) -> None:
    def stopping(info: AttemptInfo) -> None:
        raise stop

    with pytest.raises(stop):
        call_hook(stopping, INFO)


def test_attempt_info_has_no_place_for_values_and_bodies() -> None:
    assert AttemptInfo._fields == (
        "operation",
        "method",
        "path",
        "endpoint",
        "number",
        "status",
        "elapsed",
        "error",
    )
