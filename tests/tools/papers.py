"""Users whom etcd knows by the common name of their certificate: it takes 50 ms of CPU to check a password, each time.

Owns an authority, its server's certificate, and whose is whose.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from etcdv2 import TLS, testing
from tests.tools.certificates import Authority


class Papers:
    """Of one server and its users; files below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._authority = Authority(directory)
        self._issued: dict[str, TLS] = {}

    @property
    def server(self) -> testing.TLS:
        """It lets nobody in who has no certificate."""
        pair = self._authority.issue("server", "127.0.0.1")
        return testing.TLS(pair.cert_file, pair.key_file, self._authority.ca_file, client_cert_auth=True)

    def of(self, name: str) -> TLS:
        """What this user connects with; who is no user of the server is a guest, or shows a password too."""
        if name not in self._issued:
            pair = self._authority.issue(name)
            self._issued[name] = TLS(ca_file=self._authority.ca_file, cert_file=pair.cert_file, key_file=pair.key_file)
        return self._issued[name]

    def context(self, name: str) -> ssl.SSLContext:
        """The same for a client of the standard library."""
        files = self.of(name)
        context = ssl.create_default_context(cafile=files.ca_file)
        assert files.cert_file is not None
        context.load_cert_chain(files.cert_file, files.key_file)
        return context
