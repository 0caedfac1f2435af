"""What the tests of secrets share: the secrets, a scan for them, and a client of each kind to carry out some work.

Owns no promise. Every scan is for what all secrets here share, and for the token of the Authorization header.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import etcdv2
import etcdv2_api
from etcdv2 import AsyncClient, Client, EtcdError
from tests.tools.faces import over
from tests.tools.fault_server import answer

MARK = "zq7Secret"
PASSWORD = f"{MARK}-of-root"
NEW_PASSWORD = f"{MARK}-of-amy"
TOKEN = base64.b64encode(f"root:{PASSWORD}".encode()).decode()
CREDENTIALS: dict[str, Any] = {"username": "root", "password": PASSWORD}

CLUSTER = {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "Content-Type": "application/json"}
NO_USERS = answer(200, CLUSTER, b'{"users": []}')

PACKAGES = tuple(str(Path(inspect.getfile(package)).parent) for package in (etcdv2, etcdv2_api))

Work = Callable[[Any], Any]
"""Something done with a client; for an AsyncClient it gives something to await."""


def leaks(shown: Mapping[str, str]) -> list[str]:
    """Where a secret can be read."""
    return [where for where, text in shown.items() if MARK in text or TOKEN in text]


def views(error: BaseException) -> dict[str, str]:
    """What an error shows of itself and of its causes: texts, attributes, pickles, the traceback."""
    shown = {"traceback": "".join(traceback.format_exception(error))}
    for number, one in enumerate(chain(error)):
        where = f"{number} {type(one).__name__}"
        shown[f"{where} str"], shown[f"{where} repr"] = str(one), repr(one)
        shown[f"{where} args"], shown[f"{where} vars"] = repr(one.args), repr(vars(one))
        if isinstance(one, EtcdError):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                shown[f"{where} pickle {protocol}"] = pickle.dumps(one, protocol).decode("latin-1")
    return shown


def variables(error: BaseException) -> dict[str, str]:
    """What crash reporters print beside it: the values of our variables, in each frame of the traceback.

    Plain text and bytes are left out: somewhere the request itself must stand.
    """
    shown: dict[str, str] = {}
    for number, one in enumerate(chain(error)):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGES):
                where = f"{number} {frame.f_code.co_qualname}"
                shown |= {f"{where} {name}": repr(value) for name, value in frame.f_locals.items() if not is_raw(value)}
    return shown


def is_raw(value: object) -> bool:
    return isinstance(value, (str, bytes, memoryview))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what a traceback prints before it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def records(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    shown = {"formatted": caplog.text}
    for number, record in enumerate(caplog.records):
        shown[f"{number} {record.name}: {record.getMessage()[:60]}"] = repr(vars(record)) + record.getMessage()
    return shown


class Kind(NamedTuple):
    side: str
    transport: str

    def end(self, endpoints: Any, work: Work, **settings: Any) -> BaseException | None:
        """The error that the work ends with."""
        settings |= over(self.transport)
        try:
            if self.side == "sync":
                with Client(endpoints, **settings) as client:
                    work(client)
            else:
                asyncio.run(self._async_end(endpoints, work, settings))
        except EtcdError as error:
            return error
        return None

    async def _async_end(self, endpoints: Any, work: Work, settings: dict[str, Any]) -> None:
        async with AsyncClient(endpoints, **settings) as client:
            await work(client)


KINDS = [Kind(side, transport) for side in ("sync", "async") for transport in ("fast", "httpx")]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids="-".join)
