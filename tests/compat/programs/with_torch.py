"""PyTorch's rendezvous on etcd, one worker: `python with_torch.py PLACE BACKEND PORT RUN WORKERS`.

Says "ready RANK SIZE TOTAL" after each rendezvous, and meets again for each line that it is given. What of
torch it imports is given by stand-ins.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import etcdv2.compat

etcdv2.compat.install()
place, backend, port, run, workers = sys.argv[1:]


def stand_in(name: str, **names: Any) -> None:
    module = types.ModuleType(name)
    module.__path__ = [f"{place}/{name.replace('.', '/')}"]
    vars(module).update(names)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


class Store:
    """The base of what torch has in C++."""

    timeout = timedelta(seconds=60)


stand_in("torch")
stand_in("torch.distributed", Store=Store, PrefixStore=Store, FileStore=Store, TCPStore=Store)
stand_in("torch.distributed.elastic")
stand_in("torch.distributed.elastic.utils")
stand_in("torch.distributed.elastic.utils.distributed", get_free_port=lambda: 1)
stand_in("torch.distributed.elastic.events", construct_and_record_rdzv_event=MagicMock(), NodeState=MagicMock())

import etcd  # type: ignore[import-not-found, unused-ignore] # noqa: E402
from torch.distributed.elastic.rendezvous import (  # type: ignore[import-not-found, unused-ignore] # noqa: E402
    RendezvousParameters,
    etcd_rendezvous,
    etcd_rendezvous_backend,
)


def patiently(step: Callable[[], Any]) -> Any:
    """As an agent that starts a worker again: a step that fails for want of a leader is done once more."""
    ends = time.monotonic() + 60
    while True:
        try:
            return step()
        except (etcd.EtcdException, etcd_rendezvous_backend.RendezvousConnectionError):
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)


limits = {"timeout": 120, "last_call_timeout": 1}
parameters = RendezvousParameters(
    backend, f"127.0.0.1:{port}", run, int(workers), int(workers), etcd_prefix="/torch/p2p/", **limits
)


def by_etcd() -> Callable[[], tuple[int, int, int]]:
    handler = patiently(lambda: etcd_rendezvous.create_rdzv_handler(parameters))

    def meet() -> tuple[int, int, int]:
        info = handler.next_rendezvous()
        mine = f"member/{info.rank}"
        info.store.set(mine, b"here")
        info.store.wait([f"member/{rank}" for rank in range(info.world_size)])
        return info.rank, info.world_size, info.store.add("total", 1)

    return meet


def by_etcd_v2() -> Callable[[], tuple[int, int, int]]:
    """Everybody adds itself to the state, by compare and swap, and waits for the others."""
    made, store = patiently(lambda: etcd_rendezvous_backend.create_backend(parameters))
    rounds = 0

    def meet() -> tuple[int, int, int]:
        nonlocal rounds
        rounds += 1
        while True:
            found = patiently(made.get_state)
            state, token = found if found is not None else (b"0", None)
            written = patiently(lambda state=state, token=token: made.set_state(b"%d" % (int(state) + 1), token))
            if written is not None and written[2]:
                break
        rank = int(written[0]) - 1 - (rounds - 1) * int(workers)
        while int(patiently(made.get_state)[0]) < rounds * int(workers):
            time.sleep(0.05)
        return rank, int(workers), patiently(lambda: store.add("total", 1))

    return meet


meet = {"etcd": by_etcd, "etcd-v2": by_etcd_v2}[backend]()
while True:
    print("ready", *patiently(meet), flush=True)
    if not sys.stdin.readline():
        break
