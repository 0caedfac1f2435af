"""What sends, waits and sleeps for the recipes. `_sync` is derived from it by scripts/unasync.py."""
