"""Names of other libraries on this client, for programs that were written for them.

`install()` makes `import etcd` give `etcdv2.compat.python_etcd`. Owns only what stands in
`sys.modules`; imports nothing of either before it is asked to.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["install", "uninstall"]

_OURS = "etcdv2.compat.python_etcd"
_MODULES = ("", ".client", ".lock", ".auth")


def install(*, warn: bool = False) -> None:
    """From here on `import etcd` gives python-etcd's names on this client, in the whole process.

    Any number of times; before anything has imported `etcd`. `warn`: each place that calls one of
    its methods gets a PendingDeprecationWarning, which names the native call; so does the variable
    ETCDV2_COMPAT_WARN=1. Python shows them with `-W default::PendingDeprecationWarning`.

    Raises RuntimeError when another `etcd` is imported already.
    """
    for suffix in _MODULES:
        found = sys.modules.get(f"etcd{suffix}")
        if found is not None and getattr(found, "__name__", "") != _OURS + suffix:
            raise RuntimeError(
                f"another module etcd{suffix} is imported already, from {getattr(found, '__file__', 'nowhere')}:"
                " call etcdv2.compat.install() before anything imports etcd"
            )

    for suffix in _MODULES:
        sys.modules[f"etcd{suffix}"] = import_module(_OURS + suffix)
    if warn:
        from etcdv2.compat.python_etcd import _advice

        _advice.wanted = True


def uninstall() -> None:
    """`import etcd` is again whatever is installed. What has been imported stays with those who have it."""
    for suffix in _MODULES:
        found = sys.modules.get(f"etcd{suffix}")
        if getattr(found, "__name__", "") == _OURS + suffix:
            del sys.modules[f"etcd{suffix}"]
