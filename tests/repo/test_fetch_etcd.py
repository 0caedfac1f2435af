"""scripts/fetch_etcd.py: what it reads from a machine's apt sources, when it needs no network, and what it says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.repo.test_unasync import load

fetch_etcd = load("fetch_etcd")

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://vendor.example/apt
Suites: bookworm
Components: contrib

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""
ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64] http://vendor.example/apt stable-vendor main
deb http://mirror.example/debian-security bookworm-security main
deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian bookworm main non-free
"""
GO = """\
#!/bin/sh
echo "$@" >> "$(dirname "$0")/log"
[ "$GOFLAGS" = "-mod=mod -p=1" ] || exit 1
case "$1" in
    get) version="${2##*@v}"; echo "${version%+incompatible}" > version ;;
    build) printf '#!/bin/sh\\necho etcd Version: %s\\n' "$(cat version)" > etcd; chmod +x etcd ;;
esac
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [("sources.list.d/debian.sources", DEB822), ("sources.list", ONE_LINE), ("sources.list.d/a.list", ONE_LINE)],
)
def test_only_debians_main_archive_is_taken_from_the_sources(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)
    (tmp_path / "sources.list.d" / "off.list.disabled").write_text("deb http://off.example/debian bookworm main\n")
    source = fetch_etcd.main_archive(tmp_path)
    assert source["Uris"] == "http://mirror.example/debian"
    assert source["Suites"] == "bookworm"
    assert source["Signed-By"].startswith(("/k.gpg", "-----BEGIN"))


def test_missing_archive_of_debian_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://vendor.example/apt jammy main\n")
    with pytest.raises(fetch_etcd.FetchError, match="no Debian machine"):
        fetch_etcd.main_archive(tmp_path)


def cached(cache: Path, version: str, suite: str) -> Path:
    binary = cache / version / "usr" / "bin" / "etcd"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    (cache / f"{suite}.version").write_text(version + "\n")
    return binary


@pytest.mark.parametrize("wanted", ["2.3", "3.6", "3.6.16", "3.7"])
def test_what_debian_does_not_have_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    """By go, of which there is a picture here: a build takes minutes."""
    (tmp_path / "bin").mkdir()
    go = tmp_path / "bin" / "go"
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    cache = tmp_path / "cache"
    version, binary = fetch_etcd.fetch(wanted, cache)
    assert version.startswith(wanted)
    assert binary == cache / version / "usr" / "bin" / "etcd"
    module = fetch_etcd.MODULES[version].module
    release = f"v{version}" + ("+incompatible" if version < "3" else "")
    assert (tmp_path / "bin" / "log").read_text().splitlines() == [
        "mod init throwaway",
        f"get {module}@{release}",
        f"build -trimpath -ldflags=-s -w -o etcd {module}",
    ]
    assert [path.name for path in cache.iterdir()] == [version]

    # Now it is there, and needs no go.
    monkeypatch.setenv("PATH", "")
    assert fetch_etcd.fetch(wanted, cache) == (version, binary)
    with pytest.raises(fetch_etcd.FetchError, match="go is missing"):
        fetch_etcd.fetch(wanted, tmp_path / "other")


@pytest.mark.parametrize("wanted", ["bookworm", "3.4", "3.4.23"])
def test_what_is_in_the_cache_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setenv("PATH", "")
    binary = cached(tmp_path, "3.4.23", "bookworm")
    assert fetch_etcd.fetch(wanted, tmp_path) == ("3.4.23", binary)


def test_suite_that_has_moved_on_is_not_passed_off_as_the_version_asked_for(tmp_path: Path) -> None:
    cached(tmp_path, "3.6.1", "sid")
    assert fetch_etcd.fetch("sid", tmp_path)[0] == "3.6.1"
    with pytest.raises(fetch_etcd.FetchError, match=r"now carries etcd 3\.6\.1, no longer 3\.5\.30"):
        fetch_etcd.fetch("3.5.30", tmp_path)


def test_version_that_no_suite_carries_is_an_error_that_names_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fetch_etcd.main(["2.2"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "3.4.23 (bookworm)" in printed.err


def test_missing_ones_can_be_left_out_with_a_word_about_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch_etcd.main(["--join", "--skip-missing", "pip", "2.2"]) == 0
    printed = capsys.readouterr()
    assert "left out" in printed.err
    path, end = printed.out[:-1], printed.out[-1]
    assert end == "\n"
    assert "etcd Version: 3.5" in subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout


def test_machine_without_apt_gets_advice_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(fetch_etcd.FetchError, match=r"apt-get is missing.*ETCDV2_TEST_BINARIES"):
        fetch_etcd.fetch("bookworm", tmp_path)
