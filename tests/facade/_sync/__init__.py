# Derived from tests/facade/_async/__init__.py by scripts/unasync.py: change that file, make generate.
