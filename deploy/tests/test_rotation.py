"""What changes while pods run: the policy, the keys. No process is started again for it."""

import time
import unittest

from manifests import objects
from rehearsal.parts import ATTACK, BLOCK, PATIENCE
from rehearsal.pod import Cluster
from rehearsal.service import Service


class Rotation(unittest.TestCase):
    """A pod that watches at first."""

    def setUp(self):
        self.service = Service(Cluster(objects("module/base")), "shop", "shop")
        self.addCleanup(self.service.close)
        self.pod = self.service.pod()
        self.agent = self.pod.container("portcullis-agent").process
        self.child = self.agent.child.pid

    def await_status(self, status):
        """Asks for an attack until the answer is this."""
        end = time.monotonic() + PATIENCE
        while (seen := self.service.ask(ATTACK).status) != status:
            self.assertLess(time.monotonic(), end, f"{seen} is not {status}:\n{self.agent.log()}")

    def test_a_changed_config_map_is_in_force_without_a_restart(self):
        self.assertEqual(self.service.ask(ATTACK).status, 200)
        self.pod.update("portcullis-policy", {"policy.json": BLOCK})
        self.await_status(406)
        self.pod.update("portcullis-policy", {"policy.json": '{"site": {"agentLevel": "block", '})
        self.agent.wait_for("cannot reload")
        self.assertEqual(self.service.ask(ATTACK).status, 406)
        self.pod.update("portcullis-policy", {"policy.json": '{"site": {"agentLevel": "log"}}'})
        self.await_status(200)
        self.assertEqual(self.agent.child.poll(), None)

    def test_changed_keys_are_read_without_a_restart(self):
        said = len(self.agent.lines)
        self.pod.update("sigsci-keys", {"accesskeyid": "new-id", "secretaccesskey": "new-secret"})
        self.agent.wait_for("reloaded", after=said)
        self.assertNotIn("new-secret", self.agent.log())
        self.assertEqual(self.service.ask().status, 200)
        self.assertEqual(self.agent.child.poll(), None)
