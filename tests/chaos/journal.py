"""What one run leaves behind for whoever looks into a finding: every call, the steps, the members' logs, the report.

Owns a directory below the temporary one; it is removed when nothing was found.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from etcdv2.testing import Server

WORDS = 400
"""Characters of an error or an answer that are kept."""


class Journal:
    """Safe from any thread. Times are seconds since it was begun, as in the steps."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="etcdv2-chaos-"))
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._calls = (self.directory / "calls.jsonl").open("w")
        self._steps: list[str] = []

    def step(self, text: str) -> None:
        with self._lock:
            self._steps.append(text)

    def call(self, workload: str, by: str, call: str, begun: float, ended: float, result: Any) -> None:
        entry = [round(begun - self._began, 4), round(ended - self._began, 4), workload, by, call, _described(result)]
        with self._lock:
            if not self._calls.closed:
                self._calls.write(json.dumps(entry) + "\n")

    def keep(self, report: str, members: Iterable[Server]) -> Path:
        """Close it, and put the rest beside the calls."""
        with self._lock:
            self._calls.close()
        (self.directory / "report.txt").write_text("\n".join([report, "", *self._steps, ""]))
        for member in members:
            shutil.copyfile(member.log_file, self.directory / f"{member.name}.log")
        return self.directory

    def drop(self) -> None:
        with self._lock:
            self._calls.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def _described(result: Any) -> str:
    node = getattr(result, "node", result)
    if hasattr(node, "modified_index"):
        return f"{node.key} is {node.value!r} since {node.modified_index}, index {getattr(result, 'index', None)}"
    return repr(result)[:WORDS]
