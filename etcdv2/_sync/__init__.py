# Derived from etcdv2/_async/__init__.py by scripts/unasync.py: change that file, make generate.
"""The shell, written once: what waits and does I/O. `etcdv2/_sync` is derived from `etcdv2/_async`."""
