"""Clients and processes: forked with a client in use, watched or locked; multiprocessing; pickling.

The cases run in processes of their own (`tests.tools.forking`), with all warnings as errors.
"""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from etcdv2 import AsyncClient, Client, KeyNotFound
from etcdv2.testing import Certificates, Server
from tests.conftest import FIRST_VERSION
from tests.tools import children
from tests.tools.waiting import SOON

METHODS = ["fork", "spawn", "forkserver"]
THREADS_AT_FORK = "ignore:This process:DeprecationWarning"
"""Python 3.12 warns of any fork beside threads; these tests are about that."""

pytestmark = FIRST_VERSION


def run(case: str, server: Server, transport: str, ca: object = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-W", THREADS_AT_FORK, "-m", "tests.tools.forking"]
    return subprocess.run(
        [*command, case, server.url, transport, str(ca)], check=False, timeout=200, capture_output=True, text=True
    )


def goes_well(case: str, server: Server, transport: str = "fast", ca: object = "") -> None:
    done = run(case, server, transport, ca)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_parent_and_children_talk_at_once_and_each_gets_its_own_answers(etcd: Server) -> None:
    goes_well("calls", etcd)


def test_tls_sessions_of_the_parent_are_not_used_by_children(secure: Server, certificates: Certificates) -> None:
    goes_well("calls", secure, "fast", certificates.ca_file)


def test_client_over_httpx_is_refused_in_children_and_goes_on_in_the_parent(etcd: Server) -> None:
    goes_well("refused", etcd, "httpx")


def test_client_over_httpx_and_tls_is_refused_in_children(secure: Server, certificates: Certificates) -> None:
    goes_well("refused", secure, "httpx", certificates.ca_file)


def test_client_that_is_not_called_after_a_fork_is_found_out(etcd: Server) -> None:
    """Sooner or later: on a busy machine the connections may have rested for so long that nobody uses them any more."""
    assert any(run("without_check", etcd, "fast").returncode for _ in range(20))


@pytest.mark.load
@pytest.mark.parametrize("case", ["locked", "any_moment"])
def test_child_is_not_locked_by_what_another_thread_did_at_the_fork(etcd: Server, case: str) -> None:
    goes_well(case, etcd)


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["close", "client", "collect", "exit"])
def test_child_that_ends_its_copy_of_a_watch_leaves_the_parents_alone(etcd: Server, transport: str, how: str) -> None:
    goes_well(f"watching-{how}", etcd, transport)


def test_child_opens_watches_of_its_own_which_are_looked_after(etcd: Server) -> None:
    goes_well("watching-own", etcd)


def test_watches_of_the_parent_have_ended_in_the_child(etcd: Server, transport: str) -> None:
    goes_well("watching-ended", etcd, transport)


def test_async_client_is_used_by_the_child_in_a_loop_of_its_own(etcd: Server) -> None:
    goes_well("looping", etcd)


def test_async_client_over_tls_is_used_by_the_child(secure: Server, certificates: Certificates) -> None:
    goes_well("looping", secure, "fast", certificates.ca_file)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings(THREADS_AT_FORK)
def test_processes_that_make_their_own_client_work(etcd: Server, method: str) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        answers = [pool.submit(children.work, etcd.url, f"{method}{n}") for n in range(2)]
        last = children.CALLS - 1
        assert [answer.result(timeout=SOON) for answer in answers] == [f"{method}{n}-{last}" for n in range(2)]
        with pytest.raises(KeyNotFound) as caught:
            pool.submit(children.miss, etcd.url).result(timeout=SOON)
    error = caught.value
    assert (error.code, error.cause, error.endpoint, error.message) == (100, "/missing", etcd.url, "Key not found")
    assert error.index > 0


def test_client_forked_by_multiprocessing_works_in_the_process(etcd: Server) -> None:
    context = multiprocessing.get_context("fork")
    with Client(etcd.url) as client:
        children.talk(client, "parent")
        process = context.Process(target=children.talk, args=(client, "process"))
        process.start()
        children.talk(client, "parent")
        process.join(SOON)
        assert process.exitcode == 0
        children.talk(client, "parent")


def parts(client: Client | AsyncClient) -> list[object]:
    keys = client.keys
    return [client, keys, client.members, client.stats, client.auth, client.auth.users, keys.at("/a"), keys.watch("/a")]


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_nothing_of_a_client_can_be_pickled_and_the_error_says_so(
    etcd: Server, make: Callable[..., Client | AsyncClient]
) -> None:
    client = make(etcd.url, username="root", password="secret")
    for part in [*parts(client), client.keys.mirror("/a")]:
        with pytest.raises(TypeError, match="Client cannot be pickled: make one in each process"):
            pickle.dumps(part)
    if isinstance(client, Client):
        client.close()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_client_as_argument_of_a_process_is_refused_at_once(etcd: Server, method: str) -> None:
    with Client(etcd.url) as client:
        context: Any = multiprocessing.get_context(method)
        process = context.Process(target=children.talk, args=(client, "process"))
        with pytest.raises(TypeError, match="Client cannot be pickled: make one in each process"):
            process.start()
