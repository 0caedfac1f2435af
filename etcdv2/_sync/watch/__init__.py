# Derived from etcdv2/_async/watch/__init__.py by scripts/unasync.py: change that file, make generate.
