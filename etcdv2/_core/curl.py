"""A call as a command line for curl, to try by hand what the client sends.

Hides every password. Sends nothing.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from etcdv2._types.tls import TLS
from etcdv2_api import Call
from etcdv2_api.call import HIDDEN


def curl_command(call: Call[Any, Any], url: str, *, username: str | None, tls: TLS | None) -> str:
    """`url` is that of the endpoint; `tls` the settings for it, None without TLS."""
    shown = call.masked()
    words = ["curl"]
    if shown.method != "GET":
        words += ["-X", shown.method]
    if username is not None:
        words += ["--user", f"{username}:{HIDDEN}"]
    if tls is not None:
        words += _tls_options(tls)

    words.append(f"{url}{shown.target}")
    if shown.content_type is not None:
        words += ["-H", f"Content-Type: {shown.content_type}", "--data-raw", (shown.body or b"").decode()]
    return shlex.join(words)


def _tls_options(tls: TLS) -> list[str]:
    files = {"--cacert": tls.ca_file, "--cert": tls.cert_file, "--key": tls.key_file}
    words = list[str]()
    for option, path in files.items():
        if path is not None:
            words += [option, os.fspath(path)]
    return words if tls.verify else [*words, "--insecure"]
