"""conftool's own tests of its driver: `python with_conftool.py PLACE PORT`, on a server that is there."""

from __future__ import annotations

import json
import sys
import tempfile
import types
import unittest
from importlib import import_module
from pathlib import Path
from typing import Any

import etcdv2.compat

etcdv2.compat.install()
place, port = sys.argv[1], int(sys.argv[2])
sys.path.append(place)

from conftool import configuration  # type: ignore[import-not-found, unused-ignore] # noqa: E402
from conftool.kvobject import Entity  # type: ignore[import-not-found, unused-ignore] # noqa: E402

settings = Path(tempfile.mkdtemp(), "etcdrc")
settings.write_text(f"host: 127.0.0.1\nport: {port}\nallow_reconnect: true\n")


class OnOurServer(unittest.TestCase):
    """In the place of the one that starts an etcd of its own."""

    def setUp(self) -> None:
        Entity.setup(
            configuration.Config(
                driver="etcd", driver_options={"etcd_config_file": str(settings), "suppress_san_warnings": False}
            )
        )
        client: Any = Entity.backend.driver.client
        for leaf in list(client.read("/").leaves):
            if leaf.key:
                client.delete(leaf.key, recursive=True)


integration = types.ModuleType("conftool.tests.integration")
integration.__path__ = [f"{place}/conftool/tests/integration"]
integration.IntegrationTestBase = OnOurServer  # type: ignore[attr-defined]
sys.modules["conftool.tests.integration"] = integration

result = unittest.TestResult()
for name in ("unit.test_driver_etcd", "integration.test_driver_etcd"):
    module = import_module(f"conftool.tests.{name}")
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
print(json.dumps([result.testsRun, [[test.id(), text] for test, text in result.failures + result.errors]]))
