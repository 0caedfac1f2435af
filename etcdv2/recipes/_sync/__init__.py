# Derived from etcdv2/recipes/_async/__init__.py by scripts/unasync.py: change that file, make generate.
"""What sends, waits and sleeps for the recipes. `_sync` is derived from it by scripts/unasync.py."""
