"""Chromium without a window, by its DevTools protocol over a pipe; from the PATH, or unpacked into the cache.

Owns where the program is and why it is not there, its process, and what a page did besides being shown: errors in the
console, what it fetched from elsewhere. Knows nothing of the site. `python -m tests.tools.browser` downloads Debian's
chromium-headless-shell with what it needs, some 130 MB, where no chromium is on the PATH. Nothing is installed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.tools import downloads
from tests.tools.waiting import SOON, until

CACHE = Path(__file__).resolve().parents[2] / ".cache"
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
NOT_NEEDED = ("libc6", "libcrypt1", "libgl1-mesa-dri", "libllvm15", "libz3-4")
"""Of what they depend on: the C library is the machine's own, and no driver of a graphics card is loaded."""
PLACE = CACHE / "debian" / "browser"
REASON = CACHE / "debian" / "browser.missing"
"""Why the last download failed."""
NAMES = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""
OPTIONS = (
    # Nothing but the pages of this repository is shown, so root may do without the sandbox, which refuses it.
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--remote-debugging-pipe",
)
# It reads commands from descriptor 3 and writes to 4, which a program that is started cannot choose otherwise.
AT_3_AND_4 = (
    "import os, sys; reads, writes = map(int, sys.argv[1:3]); os.dup2(reads, 3); os.dup2(writes, 4);"
    " os.execv(sys.argv[3], sys.argv[3:])"
)


# --- the program -----------------------------------------------------------------------------------------------------


def program() -> Path | None:
    """The one of the PATH, or the one that was unpacked."""
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    if installed is not None:
        return Path(installed)
    unpacked = PLACE / "usr" / "lib" / "chromium" / "chromium-headless-shell"
    return unpacked if unpacked.is_file() else None


def fetch() -> str:
    """Download and unpack it unless there is one. Returns why that is not possible, else an empty text."""
    if program() is None:
        return downloads.fetch(PACKAGES, CACHE, PLACE, REASON, NOT_NEEDED)
    REASON.unlink(missing_ok=True)
    return ""


def missing() -> str:
    """Why there is no browser; empty where there is one."""
    return "" if program() is not None else downloads.why_not("browser", REASON)


def _environment(private: Path) -> dict[str, str]:
    """Libraries and fonts of the unpacked one; its own settings go into a private directory."""
    environ = {**os.environ, "HOME": str(private)}
    if PLACE in (program() or private).parents:
        libraries = PLACE / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
        places = (libraries, PLACE / "lib" / libraries.name, libraries / "pulseaudio")
        environ["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, places))
        fonts = private / "fonts.conf"
        fonts.write_text(FONTS.format(fonts=PLACE / "usr" / "share" / "fonts", cache=private / "fonts"))
        environ["FONTCONFIG_FILE"] = str(fonts)
    return environ


# --- one browser with one page ---------------------------------------------------------------------------------------


class Browser:
    """One process with one page. `with` starts and ends it."""

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="etcdv2-browser-", ignore_cleanup_errors=True)
        self._sent = 0
        self._received = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What the page did since `open`."""

    def __enter__(self) -> Self:
        found = program()
        assert found is not None, missing()
        private = Path(self._place.name)
        reads, self._write = _pipe()
        self._read, writes = _pipe()
        self._log = private / "log"
        profile = f"--user-data-dir={private / 'profile'}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", AT_3_AND_4, str(reads), str(writes), str(found), *OPTIONS, profile],
                pass_fds=(reads, writes),
                env=_environment(private),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(reads)
        os.close(writes)

        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._write)  # it ends when nobody can command it any more
        os.close(self._read)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._place.cleanup()

    # --- what a person does ---

    def open(self, url: str) -> None:
        """Show a page, until it is loaded."""
        self.events.clear()
        self.ask("Page.navigate", url=url)
        self.wait_for(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window, in pixels, and which colours its person likes."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def type(self, text: str) -> None:
        """Into whatever has the focus."""
        self.ask("Input.insertText", text=text)

    def press(self, key: str, *, control: bool = False) -> None:
        """One key, such as `k` or `Enter`."""
        codes = {"Enter": 13, "Escape": 27, "ArrowDown": 40}
        code = codes.get(key, ord(key[0].upper()))
        one = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
        self.ask("Input.dispatchKeyEvent", type="rawKeyDown", **one)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **one)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, as JSON has it."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, file: Path) -> None:
        """What is seen, as PNG."""
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings in the console since `open`, and what was asked of the network."""
        found: list[str] = []
        for event in self.events:
            said = event.get("params", {})
            match event["method"]:
                case "Runtime.exceptionThrown":
                    found.append(f"exception: {said['exceptionDetails']}")
                case "Runtime.consoleAPICalled" if said["type"] in ("error", "warning", "assert"):
                    found.append(f"console: {said['args']}")
                case "Log.entryAdded" if said["entry"]["level"] in ("error", "warning"):
                    found.append(f"log: {said['entry']}")
                case "Network.loadingFailed" if not said.get("canceled"):
                    found.append(f"failed: {said}")
                case "Network.requestWillBeSent" if not said["request"]["url"].startswith(("file:", "data:", "blob:")):
                    found.append(f"from elsewhere: {said['request']['url']}")
                case _:
                    pass
        return found

    # --- the protocol ---

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Until it is so; what the page does meanwhile is in `events`."""

        def holds() -> object:
            self._receive(0)
            return condition()

        until(holds, lambda: f"the browser: {self.events[-5:]}")

    def ask(self, method: str, **parameters: Any) -> Any:
        """One command and its answer. What comes before it is kept in `events`."""
        self._sent += 1
        command: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")

        ends = time.monotonic() + SOON
        while time.monotonic() < ends:
            for message in self._receive(1):
                if message.get("id") == self._sent:
                    assert "error" not in message, f"{method}: {message['error']}"
                    return message["result"]
        raise AssertionError(f"{method} is not answered")

    def _receive(self, seconds: float) -> list[dict[str, Any]]:
        """The answers among what has come, or comes within that time."""
        if select.select([self._read], [], [], seconds)[0]:
            data = os.read(self._read, 1 << 20)
            assert data, f"the browser has ended:\n{self._log.read_text(errors='replace')[-2000:]}"
            self._received += data
        *whole, self._received = self._received.split(b"\0")
        messages = [json.loads(one) for one in whole]
        self.events += [message for message in messages if "id" not in message]
        return [message for message in messages if "id" in message]


def _pipe() -> tuple[int, int]:
    """One whose descriptors are not among the first ones, which the browser is given."""
    found = os.pipe()
    higher = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in found]
    for one in found:
        os.close(one)
    return higher[0], higher[1]


def main() -> int:
    """Download; says why that cannot be done. Fails only where `ETCDV2_TEST_BROWSER` wants one."""
    return downloads.status("browser", fetch(), "ETCDV2_TEST_BROWSER")


if __name__ == "__main__":
    sys.exit(main())
