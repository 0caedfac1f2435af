"""Which settings hold: flags over ETCDV2_* over ETCDCTL_* over defaults; and where a password comes from.

Owns the precedence and the rules for passwords. What a variable means, `Client.from_env` knows.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etcdv2._cli._arguments import duration
from etcdv2._cli._failures import UsageError

# The variables that mean one thing, without ETCDCTL_; the first is the one that a flag is written into.
_SAME: dict[str, tuple[str, ...]] = {
    "endpoints": ("ENDPOINTS", "ENDPOINT", "PEERS"),
    "discovery_srv": ("DISCOVERY_SRV",),
    "discovery_srv_name": ("DISCOVERY_SRV_NAME",),
    "insecure_discovery": ("INSECURE_DISCOVERY",),
    "cacert": ("CA_FILE", "CACERT"),
    "cert": ("CERT_FILE", "CERT"),
    "key": ("KEY_FILE", "KEY"),
    "insecure_skip_tls_verify": ("INSECURE_SKIP_TLS_VERIFY",),
    "insecure_transport": ("INSECURE_TRANSPORT",),
    "user": ("USERNAME", "USER"),
    "password": ("PASSWORD",),
    "timeout": ("TOTAL_TIMEOUT", "COMMAND_TIMEOUT"),
    "connect_timeout": ("TIMEOUT", "DIAL_TIMEOUT"),
}
_SPELLED = {"cacert": "--cacert", "cert": "--cert", "key": "--key", "discovery_srv": "--discovery-srv"}


class Settings:
    """What a client is made with."""

    def __init__(
        self,
        environ: dict[str, str],
        user: str | None,
        password: str | None,
        connect: float | None,
        total: float | None,
        sources: dict[str, str],
    ) -> None:
        self.environ = environ
        """As etcdctl's variables, the flags among them."""
        self.user = user
        self.password = password
        self.connect = connect
        """Seconds, None for the library's."""
        self.total = total
        """Seconds for the whole command where a flag or variable says so."""
        self.sources = sources
        """By variable, where its value was taken from, for errors."""

    def explain(self, text: str) -> str:
        """The text of an error with the flag or variable that the user wrote."""
        for variable, source in self.sources.items():
            if text.startswith(variable):
                return source + text[len(variable) :]
        for argument, flag in (("ca_file", "--cacert"), ("cert_file", "--cert"), ("key_file", "--key")):
            text = text.replace(f"{argument}=", flag).replace(argument, flag)
        return text


def settings_from(options: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Raises UsageError for what cannot be followed. Asks for no password yet."""
    found = {name: value for name, value in environ.items() if name.startswith("ETCDCTL_")}
    sources: dict[str, str] = {}

    # 1. ETCDV2_* with the same names, then flags: each in place of all variables that mean the same.
    given = {name: _from_environment(name, environ) for name in _SAME}
    given |= {name: (_SPELLED.get(name, ""), value) for name, value in _from_flags(options).items()}
    for name, (source, value) in given.items():
        if not value:
            continue
        for tail in _SAME[name]:
            found.pop(f"ETCDCTL_{tail}", None)
        variable = f"ETCDCTL_{_SAME[name][0]}"
        found[variable], sources[variable] = value, source or variable
        if name == "endpoints" and not given["discovery_srv"][1]:
            for tail in ("DISCOVERY_SRV", "DISCOVERY_SRV_NAME"):
                found.pop(f"ETCDCTL_{tail}", None)
    if found.get("ETCDCTL_INSECURE_SKIP_TLS_VERIFY") == "true":
        found.pop("ETCDCTL_CA_FILE", None)

    # 2. What is not left to the client.
    connect, total = (_seconds(found, name) for name in ("connect_timeout", "timeout"))
    user, password = _credentials(found, options)
    return Settings(found, user, password, connect, total, sources)


def _from_environment(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name and value of the ETCDV2_ variable."""
    for tail in _SAME[name]:
        if value := environ.get(f"ETCDV2_{tail}"):
            return f"ETCDV2_{tail}", value
    return "", ""


def _from_flags(options: argparse.Namespace) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("discovery_srv", "discovery_srv_name", "cacert", "cert", "key"):
        if (value := getattr(options, name)) is not None:
            found[name] = value
    if options.endpoints is not None:
        found["endpoints"] = ",".join(options.endpoints)
    for name in ("insecure_skip_tls_verify", "insecure_discovery"):
        if getattr(options, name):
            found[name] = "true"
    for name in ("timeout", "connect_timeout"):
        if (seconds := getattr(options, name)) is not None:
            found[name] = str(seconds)
    return found


def _seconds(found: dict[str, str], name: str) -> float | None:
    """Takes the variables out."""
    values = [(tail, found.pop(f"ETCDCTL_{tail}", "")) for tail in _SAME[name]]
    for tail, value in values:
        if value:
            try:
                return duration(value)
            except argparse.ArgumentTypeError as error:
                raise UsageError(f"ETCDCTL_{tail}: {error}") from None
    return None


# --- passwords -------------------------------------------------------------------------------------------------------


def _credentials(found: dict[str, str], options: argparse.Namespace) -> tuple[str | None, str | None]:
    """User and password as far as they are known; takes the variables out."""
    names = [found.pop(f"ETCDCTL_{tail}", "") for tail in _SAME["user"]]
    of_environment = next(filter(None, names), "")
    password: str | None = found.pop("ETCDCTL_PASSWORD", "") or None

    # 1. The user, with a password behind a colon.
    name, colon, rest = (of_environment if options.user is None else options.user).partition(":")
    if options.user is not None and colon:
        warn("the password in --user can be seen by everybody (ps); use --password-file or ETCDCTL_PASSWORD")
        password = rest
    elif colon and password is None:
        password = rest
    if not name:
        if options.password_file is not None or (password is not None and options.user is None):
            raise UsageError("there is a password and no user: --user NAME")
        return None, None

    # 2. A file wins over the environment.
    if options.password_file is not None:
        password = read_password(options.password_file)
    return name, password


def read_password(path: str) -> str:
    """The first line of a file, or of stdin for `-`. Raises UsageError."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        text = data.decode()
    except OSError as error:
        raise UsageError(f"the password file cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the password file {path} is no UTF-8") from None
    line = text.partition("\n")[0].removesuffix("\r")
    if not line:
        raise UsageError("the password file is empty" if path != "-" else "there is no password on stdin")
    return line


def ask_password(prompt: str, instead: str = "--password-file or ETCDCTL_PASSWORD") -> str:
    """Typed on the terminal, which shows nothing of it. Raises UsageError where there is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise UsageError(f"{prompt.strip(': ')}: there is no terminal to ask at; use {instead}") from None
    from getpass import getpass

    try:
        return getpass(prompt)
    except EOFError:
        raise UsageError("no password was typed") from None


def warn(text: str) -> None:
    """One line on stderr."""
    print(f"etcdv2: warning: {text}", file=sys.stderr)


def client_arguments(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that go over the environment."""
    from etcdv2 import Timeout

    standard = Timeout()
    times = Timeout(connect=settings.connect or standard.connect, total=settings.total or standard.total)
    return {"username": settings.user, "password": settings.password, "timeout": times}
