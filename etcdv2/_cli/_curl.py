"""`--curl`: the first request as a command line for curl, and nothing is sent.

Owns what is hidden of it: passwords, in the user's credentials and in what is sent about a user.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

import httpx

from etcdv2._cli._failures import Shown
from etcdv2._cli._settings import Settings

HIDDEN = "***"


class ShowRequest(httpx.BaseTransport):
    """What a client sends through ends here, and is printed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        print(self.line(request))
        raise Shown

    def line(self, request: httpx.Request) -> str:
        """Quoted for a shell."""
        words = ["curl"] + ([] if request.method == "GET" else ["-X", request.method])
        if self._settings.user is not None:
            words += ["--user", f"{self._settings.user}:{HIDDEN}"]
        if request.url.scheme == "https":
            words += self._tls_files()
        words.append(str(request.url))
        if body := request.read():
            kind = request.headers.get("content-type", "")
            words += ["-H", f"Content-Type: {kind}", "--data-raw", _masked(body.decode())]
        return shlex.join(words)

    def _tls_files(self) -> list[str]:
        environ, words = self._settings.environ, list[str]()
        for option, names in (
            ("--cacert", ("CA_FILE", "CACERT")),
            ("--cert", ("CERT_FILE", "CERT")),
            ("--key", ("KEY_FILE", "KEY")),
        ):
            found = next((value for name in names if (value := environ.get(f"ETCDCTL_{name}"))), None)
            words += [option, found] if found else []
        return [*words, "--insecure"] if environ.get("ETCDCTL_INSECURE_SKIP_TLS_VERIFY") == "true" else words


def _masked(body: str) -> str:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return body
    if isinstance(found, dict) and "password" in found:
        return json.dumps(found | {"password": HIDDEN}, ensure_ascii=False, separators=(",", ":"))
    return body
