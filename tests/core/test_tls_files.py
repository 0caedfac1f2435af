"""PEM files that cannot be used (rights, forms, keys): a clear error at once, never a question on the terminal."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from etcdv2 import TLS, AsyncClient, Client
from tests.tools.certificates import Authority, Pair, as_der, encrypted
from tests.tools.waiting import SOON

PASSWORD = "correct-horse"
ROOT = Path(__file__).resolve().parents[2]


class Files(NamedTuple):
    ca_file: Path
    client: Pair


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    place = tmp_path_factory.mktemp("files")
    authority = Authority(place)
    return Files(authority.ca_file, authority.issue("client"))


def refusal(**settings: object) -> str:
    """What both clients say when they are built."""
    texts: set[str] = set()
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"^tls: ") as caught:
            kind("https://127.0.0.1:1", tls=TLS(**settings))  # type: ignore[arg-type]
        texts.add(str(caught.value))
    (text,) = texts
    return text


def cut(path: Path, to: Path) -> Path:
    """The first half of a file, as after a full disk."""
    data = path.read_bytes()
    to.write_bytes(data[: len(data) // 2])
    return to


# --- what is in the files --------------------------------------------------------------------------------------------


def test_binary_certificate_is_refused_by_name(files: Files) -> None:
    der = as_der(files.client.cert_file)
    assert str(der) in refusal(cert_file=der, key_file=files.client.key_file)
    text = refusal(ca_file=as_der(files.ca_file))
    assert str(files.ca_file.with_suffix(".der")) in text
    assert "no usable certificate" in text


def test_file_cut_in_half_is_refused_by_name(files: Files, tmp_path: Path) -> None:
    ca_file = cut(files.ca_file, tmp_path / "ca.pem")
    assert str(ca_file) in refusal(ca_file=ca_file)
    cert_file = cut(files.client.cert_file, tmp_path / "cert.pem")
    assert str(cert_file) in refusal(cert_file=cert_file, key_file=files.client.key_file)
    key_file = cut(files.client.key_file, tmp_path / "key.pem")
    assert str(key_file) in refusal(cert_file=files.client.cert_file, key_file=key_file)


@pytest.mark.parametrize("what", ["cert_file", "key_file"])
def test_empty_file_is_refused_by_name(files: Files, tmp_path: Path, what: str) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    given = {"cert_file": files.client.cert_file, "key_file": files.client.key_file, what: empty}
    assert str(empty) in refusal(**given)


def test_certificate_and_key_the_wrong_way_round_are_refused(files: Files) -> None:
    text = refusal(cert_file=files.client.key_file, key_file=files.client.cert_file)
    assert str(files.client.key_file) in text
    assert str(files.client.cert_file) in text


def test_usual_oddities_of_pem_files_are_taken(files: Files, tmp_path: Path) -> None:
    ca_file, cert_file, key_file = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    text = files.ca_file.read_text()
    ca_file.write_text(f"# our authority\nsubject=/CN=authority\n{text}\n{text}")
    cert_file.write_bytes(files.client.cert_file.read_bytes().replace(b"\n", b"\r\n"))
    key_file.write_text(files.client.key_file.read_text().rstrip("\n"))
    context = TLS(ca_file=ca_file, cert_file=cert_file, key_file=key_file).build()
    assert len(context.get_ca_certs()) == 1


def test_files_are_read_when_the_client_is_built_and_not_later(files: Files, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    shutil.copyfile(files.ca_file, ca_file)
    with Client("https://127.0.0.1:1", tls=TLS(ca_file=ca_file)) as client:
        ca_file.unlink()
        assert not client.health().healthy
    with pytest.raises(ValueError, match="cannot be read"):
        Client("https://127.0.0.1:1", tls=TLS(ca_file=ca_file))


# --- passwords -------------------------------------------------------------------------------------------------------


def test_key_encrypted_in_the_older_form_is_read_with_its_password_only(files: Files) -> None:
    cert_file, key_file = encrypted(files.client, PASSWORD, traditional=True)
    TLS(cert_file=cert_file, key_file=key_file, key_password=PASSWORD).build()
    for wrong in (None, "", "wrong-battery", b"wrong-battery"):
        text = refusal(cert_file=cert_file, key_file=key_file, key_password=wrong)
        assert str(key_file) in text
        assert "key_password" in text
        assert "wrong-battery" not in text


LOAD = {
    "etcdv2": "import etcdv2; etcdv2.Client('https://127.0.0.1:1', tls=etcdv2.TLS(cert_file=cert, key_file=key))",
    "without care": "import ssl; ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key)",
}


def on_a_terminal(code: str, *arguments: str) -> tuple[str, bool]:
    """What a Python process with a terminal of its own shows there; whether it ended without being asked anything."""
    ours, theirs = pty.openpty()
    # The first terminal that the leader of a new session opens is the one that OpenSSL finds as /dev/tty.
    opening = f"import os, sys; os.open({os.ttyname(theirs)!r}, os.O_RDWR); cert, key = sys.argv[1:]; "
    command = [sys.executable, "-c", opening + code, *arguments]
    plain = {**os.environ, "NO_COLOR": "1"}  # Python 3.13 and newer colour a traceback on a terminal
    shown = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=ROOT, env=plain
    ) as process:
        os.close(theirs)
        try:
            end = time.monotonic() + SOON
            while b"pass phrase" not in shown and time.monotonic() < end:
                if select.select([ours], [], [], 0.1)[0]:
                    try:
                        shown += os.read(ours, 65536)
                    except OSError:  # all who had it open are gone
                        break
            asked = b"pass phrase" in shown
            if asked:
                process.kill()
            process.wait(30)
        finally:
            process.kill()
            os.close(ours)
    return shown.decode(errors="replace"), not asked


def test_terminal_is_never_asked_for_the_password_of_a_key(files: Files) -> None:
    cert_file, key_file = map(str, encrypted(files.client, PASSWORD))
    shown, silent = on_a_terminal(LOAD["etcdv2"], cert_file, key_file)
    assert silent, shown
    assert "ValueError: tls: " in shown
    assert "key_password" in shown


def test_terminal_is_asked_by_a_program_that_takes_no_care(files: Files) -> None:
    """So the test above can fail."""
    cert_file, key_file = map(str, encrypted(files.client, PASSWORD))
    assert not on_a_terminal(LOAD["without care"], cert_file, key_file)[1]


# --- rights ----------------------------------------------------------------------------------------------------------

AS_SOMEBODY_ELSE = """
import os, sys
import etcdv2
etcdv2.Client("https://127.0.0.1:1").close()  # imports all that it needs
if os.geteuid() == 0:  # whom rights do not hinder
    os.setegid(65534)
    os.seteuid(65534)
for place in sys.argv[1:]:
    tls = etcdv2.TLS(ca_file=f"{place}/ca", cert_file=f"{place}/cert", key_file=f"{place}/key")
    try:
        etcdv2.Client("https://127.0.0.1:1", tls=tls).close()
    except ValueError as error:
        print(error)
    else:
        print("built")
"""


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A directory that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


def said_by_somebody_else(places: Sequence[Path]) -> list[str]:
    command = [sys.executable, "-c", AS_SOMEBODY_ELSE, *map(str, places)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def test_what_the_process_may_not_read_or_enter_is_reported_by_its_file(files: Files, everybodys: Path) -> None:
    places = {name: everybodys / name for name in ("nothing", "ca", "cert", "key", "directory")}
    for shut, place in places.items():
        place.mkdir()
        for name, source in zip(("ca", "cert", "key"), (files.ca_file, *files.client), strict=True):
            shutil.copyfile(source, place / name)
            (place / name).chmod(0o000 if name == shut else 0o644)
        place.chmod(0o000 if shut == "directory" else 0o755)
    try:
        said = dict(zip(places, said_by_somebody_else(list(places.values())), strict=True))
    finally:
        places["directory"].chmod(0o755)
    assert said.pop("nothing") == "built"
    for shut, text in said.items():
        name = "ca" if shut == "directory" else shut
        assert text == f"tls: {name}_file '{places[shut]}/{name}' cannot be read: Permission denied"
