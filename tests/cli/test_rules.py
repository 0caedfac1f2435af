"""What all commands keep to: where flags stand, which settings win, streams, formats, errors, exit codes."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest

from etcdv2._cli._arguments import Arguments, parse
from etcdv2._cli._commands import command_named
from etcdv2._cli._context import Context
from etcdv2._cli._output import Output
from etcdv2.testing import Server
from tests.cli.running import CommandLine, Ran, run
from tests.tools.dns_server import DnsServer

NOBODY = "http://127.0.0.1:1"


def usage_error(ran: Ran) -> bool:
    """Two lines on stderr, nothing on stdout."""
    return ran.code == 2 and ran.out == "" and len(ran.err.splitlines()) == 2 and ran.err.startswith("etcdv2: ")


# --- flags and words -------------------------------------------------------------------------------------------------


def test_global_flags_stand_before_or_behind_the_command(cli: CommandLine) -> None:
    cli.out("set", "/a", "1")
    before, behind = cli.out("-o", "json", "get", "/a"), cli.out("get", "/a", "-o", "json")
    assert before == behind == cli.out("get", "--output=json", "/a")
    assert json.loads(before)["node"]["value"] == "1"


def test_flags_stand_between_words(cli: CommandLine) -> None:
    assert cli.out("set", "/a", "--ttl", "60", "v") == "v\n"
    assert "ttl 60" in cli.out("ls", "-l") or "ttl 59" in cli.out("ls", "-l")


def test_what_begins_with_a_dash_stands_behind_two(cli: CommandLine) -> None:
    assert cli.out("set", "/n", "-5") == "-5\n"
    assert cli.out("set", "--", "/a", "-v") == "-v\n"
    assert usage_error(cli("set", "/a", "-x"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["get"], "KEY is missing"),
        (["set"], "KEY is missing"),
        (["set", "/a", "b", "c"], "one word too many: 'c'"),
        (["get", "--bogus"], "unknown flag: --bogus"),
        (["--bogus", "get", "/a"], "unknown flag before the command: --bogus"),
        (["gett", "/a"], "unknown command: gett; get?"),
        (["set", "/a", "v", "--ttl", "abc"], "'abc' is no TTL"),
        (["set", "/a", "v", "--ttl", "0"], "'0' is no TTL"),
        (["set", "/a", "v", "--ttl", "-5"], "'-5' is no TTL"),
        (["set", "/a", "v", "--ttl"], "--ttl: needs a value"),
        (["set", "/a", "v", "--prev-value", ""], "etcd cannot compare with an empty value"),
        (["set", "/a", "v", "--prev-index", "0"], "'0' is no index"),
        (["rm", "/a", "--prev-value", ""], "etcd cannot compare with an empty value"),
        (["set", "/a", "v", "--keep-ttl", "--ttl", "3"], "--keep-ttl goes together with"),
        (["refresh", "/a"], "--ttl"),
        (["get", "/a", "--timeout", "0"], "'0' is no time"),
        (["get", "/a", "--timeout", "soon"], "'soon' is no time like 5, 500ms or 1m30s"),
        (["get", "/a", "-o", "xml"], "-o xml: the formats are human, value, key, json, jsonl, name"),
        (["get", "/a", "-o", "yaml"], "-o yaml: the formats are"),
        (["exists", "/a", "-o", "json"], "-o json: the formats are human"),
        (["get", "/a", "-e", "http://x:1:2"], "endpoint"),
        (["get", "/a", "--key", "/k.pem"], "--key"),
        (["get", "/../.."], "key"),
    ],
)
def test_a_wrong_line_ends_in_two_lines_and_code_2_before_anything_is_sent(words: list[str], text: str) -> None:
    ran = run(words, environ={"ETCDV2_ENDPOINTS": NOBODY})
    assert ran.code == 2
    assert ran.out == ""
    assert text in ran.err
    assert len(ran.err.splitlines()) <= 2


def test_an_unknown_format_is_refused_before_the_write(cli: CommandLine) -> None:
    assert usage_error(cli("-o", "xml", "set", "/a", "1"))
    assert cli("get", "/a").code == 3


# --- settings --------------------------------------------------------------------------------------------------------


def test_flags_win_over_our_variables_and_these_over_those_of_etcdctl(etcd: Server) -> None:
    words = ["-v", "exists", "/"]
    assert run(words, environ={"ETCDCTL_ENDPOINTS": etcd.url}).code == 0
    assert run(words, environ={"ETCDCTL_ENDPOINTS": NOBODY, "ETCDV2_ENDPOINTS": etcd.url}).code == 0
    assert run(words, environ={"ETCDCTL_ENDPOINTS": NOBODY, "ETCDV2_ENDPOINT": etcd.url}).code == 0
    assert run([*words, "-e", etcd.url], environ={"ETCDV2_ENDPOINTS": NOBODY}).code == 0
    assert run([*words, "-e", NOBODY], environ={"ETCDV2_ENDPOINTS": etcd.url}).code == 8


def test_flags_win_over_discovery_of_the_environment(etcd: Server) -> None:
    environ = {"ETCDCTL_DISCOVERY_SRV": "nowhere.invalid"}
    assert run(["exists", "/", "-e", etcd.url], environ=environ).code == 0
    assert run(["exists", "/"], environ={**environ, "ETCDV2_ENDPOINTS": etcd.url}).code == 0


def test_endpoints_come_from_dns(etcd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with DnsServer() as names:
        names.zone["_etcd-client._tcp.example.org."] = [f"0 0 {etcd.port} m1.example.org."]
        of_this_machine, look_up = names.resolver, socket.getaddrinfo
        monkeypatch.setattr("dns.resolver.Resolver", lambda: of_this_machine)
        monkeypatch.setattr("socket.getaddrinfo", lambda host, *rest, **named: look_up("127.0.0.1", *rest, **named))
        assert run(["--discovery-srv", "example.org", "--insecure-discovery", "exists", "/"], environ={}).code == 0
        unknown = run(["-D", "example.com", "--insecure-discovery", "exists", "/"], environ={})
        assert (unknown.code, unknown.out) == (8, "")
        assert "example.com" in unknown.err


@pytest.mark.parametrize("flag", ["-e", "--endpoints", "--endpoint", "--peers", "-C"])
def test_endpoints_need_no_scheme_and_may_be_repeated(etcd: Server, flag: str) -> None:
    host = etcd.url.removeprefix("http://")
    assert run([flag, host, "exists", "/"], environ={}).code == 0
    assert run([flag, f"127.0.0.1:1, {host}", "exists", "/"], environ={}).code == 0
    assert run([flag, "127.0.0.1:1", flag, host, "exists", "/"], environ={}).code == 0


def test_a_variable_that_cannot_be_followed_is_named() -> None:
    ran = run(["get", "/a"], environ={"ETCDCTL_NONSENSE": "1"})
    assert usage_error(ran)
    assert ran.err.startswith("etcdv2: ETCDCTL_NONSENSE: ")
    assert (
        run(["get", "/a"], environ={"ETCDCTL_API": "3", "ETCDV2_LOCK_TOKEN": "7", "ETCDV2_ENDPOINTS": NOBODY}).code == 8
    )


def test_the_error_names_the_flag_that_was_given(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.pem")
    ran = run(["--cert", missing, "get", "/a", "-e", "https://127.0.0.1:1"], environ={})
    assert usage_error(ran)
    assert "--cert" in ran.err
    assert missing in ran.err


# --- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdin", "words", "value"),
    [
        (b"v\n", [], "v"),
        (b"v\n\n", [], "v\n"),
        (b"v", [], "v"),
        (b"v\n", ["-"], "v"),
        (b"v\n", ["--raw"], "v\n"),
        ("знач\n".encode(), [], "знач"),
        (b"", ["-"], ""),
    ],
)
def test_a_value_from_stdin_loses_one_newline(cli: CommandLine, stdin: bytes, words: list[str], value: str) -> None:
    assert cli("set", "/a", *words, stdin=stdin).code == 0
    assert json.loads(cli.out("get", "/a", "-o", "json"))["node"]["value"] == value
    assert cli.out("get", "/a") == value + "\n"
    assert cli.out("get", "/a", "--raw") == value


def test_a_value_that_is_no_utf_8_is_refused(cli: CommandLine) -> None:
    ran = cli("set", "/a", stdin=b"ab\xff")
    assert usage_error(ran)
    assert "no UTF-8 (byte 2)" in ran.err
    assert usage_error(cli("set", "/a", stdin=b""))
    assert cli("set", "/a", "").code == 0


def test_stdout_has_data_and_stderr_the_rest(cli: CommandLine) -> None:
    ran = cli("-v", "set", "/config/colour", "blue")
    assert ran.out == "blue\n"
    assert [line.split(": ")[0] for line in ran.err.splitlines()] == ["etcdv2"] * 2
    assert "PUT http://" in ran.err
    assert "/config/colour index " in ran.err


def test_no_colours_without_a_terminal_unless_they_are_forced(cli: CommandLine) -> None:
    cli.out("mkdir", "/d")
    assert "\x1b" not in cli.out("ls")
    assert "\x1b[" in cli.out("ls", FORCE_COLOR="1")
    assert "\x1b" not in cli.out("ls", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b" not in cli.out("ls", "--no-color", FORCE_COLOR="1")


# --- passwords -------------------------------------------------------------------------------------------------------


def test_a_password_comes_from_a_file_the_environment_or_stdin(etcd_auth: Server, tmp_path: Path) -> None:
    cli = CommandLine(etcd_auth.url)
    file = tmp_path / "password"
    file.write_text("secret\n")
    words = ("-v", "ls")
    assert cli(*words, "--user", "root", "--password-file", str(file)).code == 0
    assert cli(*words, "--user", "root", "--password-file", "-", stdin="secret\n").code == 0
    assert cli(*words, "--user", "root", ETCDCTL_PASSWORD="secret").code == 0
    assert cli(*words, ETCDCTL_USERNAME="root:secret").code == 0
    assert cli(*words, ETCDCTL_USER="root", ETCDV2_PASSWORD="secret", ETCDCTL_PASSWORD="no").code == 0
    ran = cli(*words, "--user", "root", "--password-file", str(file), ETCDCTL_PASSWORD="no")
    assert ran.code == 0
    assert "secret" not in ran.err


def test_a_password_on_the_command_line_works_and_is_warned_of(etcd_auth: Server) -> None:
    ran = CommandLine(etcd_auth.url)("--user", "root:secret", "ls")
    assert ran.code == 0
    assert "ps" in ran.err
    assert "secret" not in ran.err


def test_a_wrong_password_says_who_was_sent(etcd_auth: Server) -> None:
    cli = CommandLine(etcd_auth.url)
    ran = cli("--user", "root", "ls", ETCDCTL_PASSWORD="wrong")
    assert ran.code == 7
    assert ran.err.startswith("etcdv2: unauthorized: as user root: ")
    ran = cli("-o", "json", "--user", "root", "ls", ETCDCTL_PASSWORD="wrong")
    assert json.loads(ran.err)["error"] == "Unauthorized"


@pytest.mark.parametrize(
    ("environ", "text"),
    [({"ETCDCTL_PASSWORD": "x"}, "no user"), ({"ETCDCTL_USERNAME": "a", "PATH": ""}, "Password of a")],
)
def test_a_password_without_a_user_or_a_terminal_is_code_2(
    environ: dict[str, str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_terminal(path: str, flags: int) -> int:
        raise OSError(path)

    monkeypatch.setattr("etcdv2._cli._settings.os.open", no_terminal)
    ran = run(["get", "/a"], environ={"ETCDV2_ENDPOINTS": NOBODY, **environ})
    assert usage_error(ran)
    assert text in ran.err


# --- curl ------------------------------------------------------------------------------------------------------------


def test_curl_shows_the_request_and_sends_nothing(cli: CommandLine) -> None:
    ran = cli("--curl", "set", "/a", "it's & more", "--user", "bob", ETCDCTL_PASSWORD="geheim")
    assert ran.code == 0
    assert ran.out == (
        f"curl -X PUT --user 'bob:***' {cli.url}/v2/keys/a -H 'Content-Type: application/x-www-form-urlencoded' "
        "--data-raw value=it%27s+%26+more\n"
    )
    assert cli("get", "/a").code == 3


# --- errors and exit codes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["get", "/nope"], 3, "key not found: /nope"),
        (["rm", "/nope"], 3, "key not found: /nope"),
        (["set", "/f", "x", "--prev-value", "no"], 4, "compare failed: [no != v]"),
        (["rm", "/f", "--prev-index", "1"], 4, "compare failed: [1 != "),
        (["mk", "/f", "x"], 5, "key already exists: /f"),
        (["mkdir", "/d"], 5, "key already exists: /d"),
        (["set", "/d", "x"], 6, "not a file: /d"),
        (["get", "/d"], 6, "a directory: /d (etcdv2 ls lists it)"),
        (["set", "/f/x", "v"], 6, "not a directory: /f"),
        (["set", "/", "v"], 6, "root is read only: /"),
        (["rmdir", "/d"], 6, "directory not empty: /d"),
        (["rmdir", "/f"], 6, "not a directory: /f"),
        (["rm", "/d"], 6, "not a file: /d (-r deletes it with all below it, --dir an empty directory)"),
        (["setdir", "/f"], 6, "not a directory: /f is a key with a value; --replace-file deletes it"),
        (["updatedir", "/f", "--ttl", "5"], 6, "not a directory: /f is a key with a value"),
    ],
)
def test_the_exit_code_says_what_went_wrong(cli: CommandLine, words: list[str], code: int, line: str) -> None:
    cli.out("set", "/f", "v")
    cli.out("set", "/d/x", "1")
    ran = cli(*words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"etcdv2: {line}")
    assert len(ran.err.splitlines()) == 1
    assert cli.out("get", "/f") == "v\n"

    ran = cli(*words, "-o", "json") if words[0] != "exists" else ran
    found = json.loads(ran.err)
    assert found["code"] >= 100
    assert found["error"][0].isupper()
    assert ran.code == code


def test_nobody_answers_is_unavailable_and_a_silent_member_a_timeout() -> None:
    ran = run(["-e", NOBODY, "get", "/a"], environ={})
    assert ran.code == 8
    assert "Connection refused" in ran.err
    ran = run(["-e", NOBODY, "-o", "jsonl", "get", "/a"], environ={})
    assert json.loads(ran.err)["error"] == "ClusterUnavailable"
    with Server(fsync=False) as server:
        server.pause()
        try:
            ran = run(["-e", server.url, "get", "/a", "--timeout", "300ms"], environ={})
            assert ran.code == 10
            ran = run(["-e", server.url, "set", "/a", "1", "--timeout", "300ms"], environ={})
            assert ran.code == 9
        finally:
            server.resume()


def test_a_server_without_v2_is_unavailable_and_says_so() -> None:
    with Server(fsync=False, v2=False) as server:
        ran = run(["-e", server.url, "get", "/a"], environ={})
        assert ran.code == 8
        assert "--enable-v2" in ran.err
        ran = run(["-e", server.url, "version"], environ={})
        assert ran.code == 0
        assert ran.out.endswith("v2 off\n")


def test_exists_answers_by_its_code_alone(cli: CommandLine) -> None:
    cli.out("set", "/a", "1")
    assert cli("exists", "/a") == Ran(0, "", "")
    assert cli("exists", "/b") == Ran(1, "", "")
    assert run(["-e", NOBODY, "exists", "/b"], environ={}).code == 8


# --- the time of a command -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["watch", "/a"],
        ["exec-watch", "/a", "--", "sleep", "100"],
        ["lock", "/locks/held"],
        ["lock", "/locks/free"],
        ["lock", "/locks/free", "--", "sleep", "100"],
        ["elect", "/leader", "me"],
        ["elect", "-l", "/leader"],
        ["health", "--watch", "100"],
        ["check", "--observe", "100"],
        ["purge", "--observe", "100"],
    ],
)
def test_the_time_is_that_of_the_whole_command(cli: CommandLine, words: list[str]) -> None:
    cli.out("mk", "/locks/held/somebody-0000000000000001", "x")
    ran = cli("--timeout", "700ms", *words)
    assert ran.code == 10
    assert len(ran.err.splitlines()) == 1
    assert "/locks/free/" not in cli.out("ls", "-r", "/locks")


def test_a_timer_of_the_program_that_runs_a_command_goes_on_afterwards(cli: CommandLine) -> None:
    """That of a test's own limit, too."""
    before, _ = signal.getitimer(signal.ITIMER_REAL)
    assert before, "pytest-timeout has set one"
    assert cli("--timeout", "700ms", "get", "/none").code == 3
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < before


def test_a_variable_ends_no_command_that_goes_on_without_end() -> None:
    """etcdctl's is the time of a request, and who has set it wants his programs under a lock to go on."""
    environ = {"ETCDCTL_TOTAL_TIMEOUT": "5s"}
    for name, flags, ends in (
        ("get", [], True),
        ("watch", [], False),
        ("lock", [], False),
        ("lock", ["--timeout", "3"], True),
        ("health", [], True),
        ("health", ["--watch", "1"], False),
    ):
        command = command_named(name)
        options, words, behind = parse(Arguments(name, command), flags)
        output = Output("human", {}, colours=False)
        context = Context(options, words, behind, output, environ, endless=command.endless(options))
        assert (context.within is not None) == ends, name
        assert context.settings.total == (3 if "--timeout" in flags else 5)
