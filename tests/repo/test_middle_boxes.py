"""tests/tools/boxes.py: what is said where nginx and haproxy cannot be had, and when nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import conftest
from tests.tools import boxes


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and without apt-get."""
    monkeypatch.setattr(boxes, "CACHE", tmp_path)
    monkeypatch.setattr(boxes, "PLACE", tmp_path / "debian" / "boxes")
    monkeypatch.setattr(boxes, "REASON", tmp_path / "debian" / "boxes.missing")
    monkeypatch.setenv("PATH", "")
    return tmp_path


def test_boxes_that_cannot_be_had_are_named_with_the_reason(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ETCDV2_TEST_BOXES", raising=False)
    assert "not downloaded" in boxes.missing()["nginx"]
    assert boxes.main() == 0
    assert "apt-get is missing" in capsys.readouterr().err
    for box in ("nginx", "haproxy"):
        assert [
            line for line in conftest.left_out() if line.startswith("LEFT OUT") and box in line and "apt-get" in line
        ]


def test_boxes_that_are_wanted_and_cannot_be_had_fail_the_run(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDV2_TEST_VERSIONS", "")
    monkeypatch.setenv("ETCDV2_TEST_BOXES", "nginx,haproxy")
    assert boxes.main() == 1
    with pytest.raises(pytest.UsageError, match=r"nginx is wanted.*apt-get is missing"):
        conftest.pytest_sessionstart()
    monkeypatch.setenv("ETCDV2_TEST_BOXES", "squid")
    with pytest.raises(pytest.UsageError, match="squid is wanted: no such box"):
        conftest.pytest_sessionstart()


def test_boxes_that_are_there_are_not_downloaded_again(nowhere: Path) -> None:
    for program in boxes.PROGRAMS:
        file = nowhere / "debian" / "boxes" / "usr" / "sbin" / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert boxes.fetch() == ""
    assert boxes.missing() == {}
