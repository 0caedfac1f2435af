"""TLS settings, and the `ssl.SSLContext` made of them.

Files are read when a client is built, not when it connects.
"""

from __future__ import annotations

import os
import ssl
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

FilePath: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """TLS for https endpoints, which are verified against the system's certificates without it."""

    ca_file: FilePath | None = None
    """PEM file of the authorities to trust instead of the system's.

    Each of them is trusted by itself, so an intermediate one will do without the root that it comes
    from, as in Go.
    """
    cert_file: FilePath | None = None
    """PEM file of the client certificate (and its chain), for servers with --client-cert-auth."""
    key_file: FilePath | None = None
    """PEM file of its private key; None when it is in cert_file."""
    key_password: str | bytes | None = field(default=None, repr=False)
    """For an encrypted key."""
    server_hostname: str | None = None
    """The name to ask for and to verify instead of the endpoint's host."""
    verify: bool = True
    """False accepts any certificate: no protection against a man in the middle. It warns."""
    context: ssl.SSLContext | None = None
    """A ready context instead of all of the above but `server_hostname`."""

    def __post_init__(self) -> None:
        for name in ("ca_file", "cert_file", "key_file"):
            file = getattr(self, name)
            if file is not None and not isinstance(file, (str, os.PathLike)):
                raise TypeError(f"tls: {name} {file!r}: must be a path")
        _check_hostname(self.server_hostname)
        files = (self.ca_file, self.cert_file, self.key_file, self.key_password)
        if self.context is not None and (any(part is not None for part in files) or not self.verify):
            raise ValueError("tls: a ready context= has its own files and verification; give one or the other")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("tls: key_file= needs cert_file=, the certificate that the key belongs to")
        if self.key_password is not None and self.cert_file is None:
            raise ValueError("tls: key_password= needs cert_file= and key_file=")
        if not self.verify and self.ca_file is not None:
            raise ValueError("tls: verify=False does not use ca_file=; leave one of them out")

    def build(self) -> ssl.SSLContext:
        """The context. Raises ValueError that names the file and what is wrong with it."""
        if self.context is not None:
            return self.context

        context = self._verifying()
        if self.cert_file is not None:
            self._load_pair(context, self.cert_file)
        return context

    def _verifying(self) -> ssl.SSLContext:
        """A context that trusts what these settings say, without a client certificate yet."""
        # 1. Anybody.
        if not self.verify:
            warnings.warn("etcdv2: verify=False, so any server can pose as etcd and read the credentials", stacklevel=5)
            context = _new_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context

        # 2. The system's authorities.
        if self.ca_file is None:
            return system_context()

        # 3. Those of the file, and no others.
        file = os.fspath(self.ca_file)
        _check_readable("ca_file", file)
        context = _new_context()
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cafile=file)
        except (ssl.SSLError, OSError) as error:
            raise ValueError(f"tls: ca_file {file!r} holds no usable certificate: {error}") from error
        return context

    def _load_pair(self, context: ssl.SSLContext, cert_file: FilePath) -> None:
        _check_readable("cert_file", cert_file)
        if self.key_file is not None:
            _check_readable("key_file", self.key_file)

        # Without a password OpenSSL would ask for one on the terminal; an empty one makes it fail instead.
        password = self.key_password if self.key_password is not None else ""
        try:
            context.load_cert_chain(cert_file, self.key_file, password=password)
        except (ssl.SSLError, OSError, ValueError, TypeError) as error:
            pair = f"cert_file {os.fspath(cert_file)!r}"
            if self.key_file is not None:
                pair += f" and key_file {os.fspath(self.key_file)!r}"
            raise ValueError(
                f"tls: {pair} cannot be used: broken PEM, not a pair, or a wrong or missing key_password ({error})"
            ) from error


def system_context() -> ssl.SSLContext:
    """That of https endpoints without TLS settings. Raises ValueError that names the variable."""
    try:
        context = ssl.create_default_context()
    except OSError as error:
        raise ValueError(
            f"SSLKEYLOGFILE {os.environ.get('SSLKEYLOGFILE')!r}: cannot be written: {error.strerror}"
        ) from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as Python 3.13 has it
    return _modern(context)


def _new_context() -> ssl.SSLContext:
    return _modern(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _modern(context: ssl.SSLContext) -> ssl.SSLContext:
    """TLS 1.2 at least. Debian's Python leaves that to OpenSSL's configuration, which may be missing (seen on 3.14)."""
    if context.minimum_version < ssl.TLSVersion.TLSv1_2:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _check_hostname(name: object) -> None:
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"tls: server_hostname {name!r}: must be a str")
    if not name.removesuffix(".") or name.startswith(".") or not name.isprintable() or " " in name:
        raise ValueError(f"tls: server_hostname {name!r}: is no name; leave it out for that of the endpoint")


def _check_readable(what: str, path: FilePath) -> None:
    try:
        Path(path).open("rb").close()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"tls: {what} {os.fspath(path)!r} cannot be read: {why}") from error
