"""TLS settings: what contradicts itself is refused, files are read at once and named when unusable."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from etcdv2 import Client
from etcdv2._types.tls import TLS

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pem")
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(directory / "both.pem")
    authority.issue_cert("other").private_key_pem.write_to_path(directory / "other-key.pem")
    (directory / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    (directory / "empty.pem").write_text("")
    command = ["openssl", "pkey", "-in", "key.pem", "-aes256", "-passout", f"pass:{PASSWORD}", "-out", "secret.pem"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return directory


def test_without_settings_the_system_is_trusted_and_names_are_checked() -> None:
    context = TLS().build()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_ca_file_is_trusted_instead_of_the_system(files: Path) -> None:
    context = TLS(ca_file=files / "ca.pem").build()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("cert", "key", "password"),
    [
        ("cert.pem", "key.pem", None),
        ("both.pem", None, None),
        ("cert.pem", "secret.pem", PASSWORD),
        ("cert.pem", "secret.pem", PASSWORD.encode()),
    ],
)
def test_client_certificate_is_loaded(files: Path, cert: str, key: str | None, password: str | bytes | None) -> None:
    key_file = None if key is None else str(files / key)
    TLS(ca_file=files / "ca.pem", cert_file=files / cert, key_file=key_file, key_password=password).build()


@pytest.mark.parametrize(
    ("cert", "key", "password"),
    [
        ("cert.pem", "other-key.pem", None),
        ("cert.pem", None, None),
        ("broken.pem", "key.pem", None),
        ("cert.pem", "broken.pem", None),
        ("cert.pem", "secret.pem", None),
        ("cert.pem", "secret.pem", "wrong battery"),
        ("cert.pem", "secret.pem", "wrong battery" * 100),
    ],
)
def test_unusable_pair_is_refused_by_its_files_without_its_password(
    files: Path, cert: str, key: str | None, password: str | None
) -> None:
    settings = TLS(cert_file=files / cert, key_file=None if key is None else files / key, key_password=password)
    with pytest.raises(ValueError, match="cannot be used") as caught:
        settings.build()
    assert cert in str(caught.value)
    assert key is None or key in str(caught.value)
    assert "wrong battery" not in f"{caught.value}{caught.value.__cause__!r}{settings}"


@pytest.mark.parametrize("name", ["missing.pem", "."])
@pytest.mark.parametrize("what", ["ca_file", "cert_file", "key_file"])
def test_file_that_cannot_be_read_is_named(files: Path, what: str, name: str) -> None:
    given = {"cert_file": files / "cert.pem"} if what == "key_file" else {}
    with pytest.raises(ValueError, match=rf"{what} .*cannot be read"):
        TLS(**given, **{what: files / name}).build()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["broken.pem", "empty.pem", "key.pem"])
def test_ca_file_without_certificate_is_refused(files: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"ca_file .*no usable certificate"):
        TLS(ca_file=files / name).build()


def test_verification_is_left_out_only_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="verify=False"):
        context = TLS(verify=False).build()
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_the_warning_names_the_line_that_makes_the_client() -> None:
    with pytest.warns(UserWarning, match="verify=False") as caught:
        Client("https://127.0.0.1:1", tls=TLS(verify=False)).close()
    assert [warning.filename for warning in caught] == [__file__]


def test_client_certificate_is_sent_also_where_nothing_is_verified(files: Path) -> None:
    with pytest.warns(UserWarning, match="verify=False"), pytest.raises(ValueError, match="cannot be used"):
        TLS(verify=False, cert_file=files / "cert.pem", key_file=files / "other-key.pem").build()


def test_ready_context_is_used_as_it_is() -> None:
    context = ssl.create_default_context()
    assert TLS(context=context, server_hostname="etcd").build() is context


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"context": ssl.create_default_context(), "ca_file": "ca"}, "context="),
        ({"context": ssl.create_default_context(), "cert_file": "cert"}, "context="),
        ({"context": ssl.create_default_context(), "verify": False}, "context="),
        ({"key_file": "key"}, "needs cert_file="),
        ({"key_password": "x"}, "needs cert_file="),
        ({"verify": False, "ca_file": "ca"}, "verify=False"),
    ],
)
def test_contradictions_are_refused_before_any_file_is_read(settings: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        TLS(**settings)  # type: ignore[arg-type]


def test_key_password_is_in_no_repr() -> None:
    assert PASSWORD not in repr(TLS(cert_file="cert", key_file="key", key_password=PASSWORD))
