"""Owns certificates for tests: what a server is given, and how to make them with `trustme`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TLS:
    """PEM files of a server."""

    cert_file: str | os.PathLike[str]
    """The server's certificate, with its chain in the same file, if there is one."""
    key_file: str | os.PathLike[str]
    """The private key of that certificate."""
    ca_file: str | os.PathLike[str] | None = None
    """The authority of the clients' certificates. etcd is given it with `client_cert_auth` only."""
    client_cert_auth: bool = False
    """Whether only clients with a certificate signed by `ca_file` may connect."""

    def flags(self) -> list[str]:
        """What etcd is started with."""
        flags = [f"--cert-file={os.fspath(self.cert_file)}", f"--key-file={os.fspath(self.key_file)}"]
        if self.client_cert_auth:
            flags.append("--client-cert-auth")
            # Alone it would ask for client certificates just the same (seen on 3.4.23 and 3.5.1).
            if self.ca_file is not None:
                flags.append(f"--trusted-ca-file={os.fspath(self.ca_file)}")
        return flags

    def probe_context(self) -> ssl.SSLContext:
        """To ask one's own server whether it is ready: shows its certificate, verifies nothing."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


@dataclass(frozen=True)
class Certificates:
    """PEM files of a private authority, of a server and of a client."""

    ca_file: Path
    """The authority's own certificate: by it clients verify the server, and the server verifies clients."""
    server_cert_file: Path
    """The server's certificate, for the `names` that `make_certificates` was given."""
    server_key_file: Path
    """The private key of the server's certificate."""
    client_cert_file: Path
    """The client's certificate, with `client_name` as its common name, if there is one."""
    client_key_file: Path
    """The private key of the client's certificate."""

    def server(self, *, client_cert_auth: bool = False) -> TLS:
        """The `tls=` of a `Server` or a `Cluster`."""
        return TLS(self.server_cert_file, self.server_key_file, self.ca_file, client_cert_auth)


def make_certificates(
    directory: str | os.PathLike[str],
    *,
    names: Sequence[str] = ("127.0.0.1", "::1", "localhost"),
    client_name: str | None = None,
) -> Certificates:
    """Make an authority, a server certificate for `names` and a client certificate.

    All go into `directory`, as PEM files. `client_name` is the client's common name, which etcd
    takes as the user when a request has no credentials. Raises `ModuleNotFoundError` without the
    package trustme (`pip install 'etcdv2[testing]'`).
    """
    try:
        import trustme
    except ModuleNotFoundError as cause:
        raise ModuleNotFoundError("make_certificates needs trustme: pip install 'etcdv2[testing]'") from cause

    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    made = Certificates(*(place / name for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")))

    # What etcd reads: the chain in one file, the key in another.
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.ca_file))
    server = authority.issue_cert(*names)
    client = authority.issue_cert("client@localhost", common_name=client_name)
    for issued, cert_file, key_file in (
        (server, made.server_cert_file, made.server_key_file),
        (client, made.client_cert_file, made.client_key_file),
    ):
        issued.private_key_pem.write_to_path(str(key_file))
        for position, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(cert_file), append=position > 0)
    return made
