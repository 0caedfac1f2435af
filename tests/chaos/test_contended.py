"""Short runs of contenders for all that is contended for; and one whose leases have no deadline, which is caught.

Each kind on one of the versions: `make chaos-locks` has all of them on all versions, and for longer.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from etcdv2.testing import Cluster
from tests.chaos.contended import KINDS, Contended
from tests.conftest import FIRST_VERSION

pytestmark = pytest.mark.load


@pytest.mark.thorough(versions=True)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_promised_holds_under_faults(etcd_binary: Path, kind: str) -> None:
    with Cluster(3, binary=etcd_binary) as cluster:
        account = Contended(cluster, 21, kind=kind, ttl=5, contenders=4).carry_out(40)
    assert account.sound, str(account)
    assert account.held > 3, str(account)


@FIRST_VERSION
def test_a_lease_without_a_deadline_is_caught(etcd_binary: Path) -> None:
    """By a write that was refused though it believed to hold, or by two that held at once."""
    with Cluster(3, binary=etcd_binary) as cluster:
        for seed in range(21, 31):
            account = Contended(cluster, seed, ttl=3, contenders=3, mutant="no-deadline").carry_out(40)
            if account.believed or account.at_once:
                return
    raise AssertionError(f"it was not caught: {account}")
