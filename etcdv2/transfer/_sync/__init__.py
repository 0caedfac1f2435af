# Derived from etcdv2/transfer/_async/__init__.py by scripts/unasync.py: change that file, make generate.
"""What sends and waits for the way out of v2. `_sync` is derived from it by scripts/unasync.py."""
