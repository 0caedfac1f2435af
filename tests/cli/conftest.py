"""One command line for each test, on an empty store."""

from __future__ import annotations

import pytest

from etcdv2.testing import Server
from tests.cli.running import CommandLine


@pytest.fixture
def cli(etcd: Server) -> CommandLine:
    return CommandLine(etcd.url)
