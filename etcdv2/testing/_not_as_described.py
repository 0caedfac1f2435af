"""The error of an answer that the description does not have: apart, since those who catch it need no checker."""

from __future__ import annotations


class NotAsDescribed(AssertionError):
    """An answer that the description of the API does not have; the text names request, place and body."""
