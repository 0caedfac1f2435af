"""What sends and waits for the way out of v2. `_sync` is derived from it by scripts/unasync.py."""
