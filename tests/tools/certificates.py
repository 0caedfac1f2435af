"""Certificates that `etcdv2.testing` does not make: expired, not yet valid, self-signed, for one purpose; odd files.

Owns the making with `cryptography`; knows neither servers nor clients.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

FOR_SERVERS = ExtendedKeyUsageOID.SERVER_AUTH
FOR_CLIENTS = ExtendedKeyUsageOID.CLIENT_AUTH
VALID = (-1, 1)
EXPIRED = (-2, -1)
NOT_YET_VALID = (1, 2)
"""Days from now."""

_Key = ec.EllipticCurvePrivateKey


class Pair(NamedTuple):
    """PEM files of a certificate and its private key."""

    cert_file: Path
    key_file: Path


class Authority:
    """Signs what it is asked to, below `directory`."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca_file = directory / f"{name}.pem"
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        extensions = [x509.BasicConstraints(True, None), usage, _identifier(self._key)]
        _write(self.ca_file, _signed(name, self._key, name, self._key, VALID, extensions))

    def issue(
        self,
        name: str,
        *hosts: str,
        days: tuple[int, int] = VALID,
        purposes: tuple[ObjectIdentifier, ...] = (FOR_SERVERS, FOR_CLIENTS),
    ) -> Pair:
        """A certificate with `name` as its common name, for these addresses and host names."""
        return _issue(self._directory, name, hosts, days, purposes, self._name, self._key)


def self_signed(directory: Path, name: str, *hosts: str) -> Pair:
    """A certificate that only itself vouches for."""
    return _issue(directory, name, hosts, VALID, (FOR_SERVERS,), None, None)


def encrypted(pair: Pair, password: str, *, traditional: bool = False) -> Pair:
    """The same with its key encrypted: as PKCS 8, or in the older form that the file says in a header."""
    key = serialization.load_pem_private_key(pair.key_file.read_bytes(), None)
    form = serialization.PrivateFormat.TraditionalOpenSSL if traditional else serialization.PrivateFormat.PKCS8
    path = pair.key_file.with_suffix(".traditional" if traditional else ".encrypted")
    how = serialization.BestAvailableEncryption(password.encode())
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, how))
    return Pair(pair.cert_file, path)


def as_der(cert_file: Path) -> Path:
    """The same certificate in binary form."""
    path = cert_file.with_suffix(".der")
    certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    return path


def _issue(
    directory: Path,
    name: str,
    hosts: tuple[str, ...],
    days: tuple[int, int],
    purposes: tuple[ObjectIdentifier, ...],
    signer: str | None,
    signing_key: _Key | None,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    by = signing_key or key
    extensions: list[x509.ExtensionType] = [
        x509.BasicConstraints(False, None),
        x509.ExtendedKeyUsage(purposes),
        _identifier(key),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()),
    ]
    if hosts:
        extensions.append(x509.SubjectAlternativeName([_host(host) for host in hosts]))
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    _write(pair.cert_file, _signed(name, key, signer or name, by, days, extensions))
    plain = serialization.NoEncryption()
    pair.key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return pair


def _signed(
    subject: str, key: _Key, issuer: str, by: _Key, days: tuple[int, int], extensions: list[x509.ExtensionType]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    begin, end = (now + datetime.timedelta(days=day) for day in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_called(subject))
        .issuer_name(_called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(by, hashes.SHA256())


def _identifier(key: _Key) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
