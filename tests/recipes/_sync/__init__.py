# Derived from tests/recipes/_async/__init__.py by scripts/unasync.py: change that file, make generate.
