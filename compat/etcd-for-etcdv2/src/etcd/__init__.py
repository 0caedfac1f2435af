"""python-etcd's names, on etcdv2: see `etcdv2.compat.python_etcd`, which `etcd` is from here on.

Refuses to be imported where python-etcd was installed as well: both have this directory.
"""

from importlib.metadata import PackageNotFoundError, version

from etcdv2 import compat

REMEDY = (
    "python-etcd is installed too, in the same directory as etcd-for-etcdv2:"
    " pip uninstall python-etcd, then pip install --force-reinstall --no-deps etcd-for-etcdv2"
)


def _check_alone() -> None:
    try:
        version("python-etcd")
    except PackageNotFoundError:
        return
    raise ImportError(REMEDY)


def _give_way() -> None:
    """Python takes what is in `sys.modules` when a module has been carried out."""
    import sys

    del sys.modules["etcd"]
    compat.install()


_check_alone()
_give_way()
