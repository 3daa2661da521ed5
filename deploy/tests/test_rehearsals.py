"""Manifests played with processes: traffic, attacks, and a rolling restart under load."""

import unittest

from manifests import objects
from rehearsal.client import FORM
from rehearsal.parts import ATTACK
from rehearsal.pod import Cluster
from rehearsal.service import Load, Service

SQL = b"id=1' OR '1'='1"


class Rehearsal(unittest.TestCase):
    """Starts a Service's pods, and stops them at the end."""

    def service(self, folder, name, **cluster):
        """The Service `name` of a folder, started."""
        service = Service(Cluster(objects(folder), **cluster), name, name)
        self.addCleanup(service.close)
        return service.start()

    def assert_protects(self, service):
        """Harmless requests reach the application, attacks do not."""
        reply = service.ask()
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.seen("X-SigSci-AgentResponse"), ["200"])
        self.assertEqual(service.ask(ATTACK).status, 406)
        self.assertEqual(service.ask("/", "POST", SQL, [FORM]).status, 406)

    def assert_restarts(self, service):
        """A rolling restart under load fails no request and lets no attack through."""
        load = Load(service, [("/hello?name=bob", 200), (ATTACK, 406)])
        ends = service.restart()
        count, wrong = load.end()
        self.assertEqual(wrong, [], f"of {count}")
        self.assertGreater(count, 100)
        for statuses in ends:
            self.assertEqual(statuses.get("portcullis-agent"), 0, statuses)
        self.assert_protects(service)

    def test_nginx_with_the_module(self):
        service = self.service("module/overlays/blocking", "shop")
        self.assert_protects(service)
        self.assert_restarts(service)

    def test_envoy_gateway_pod_with_the_filter(self):
        service = self.service("envoy/overlays/blocking", "gateway", services={"shop": 80})
        self.assert_protects(service)
        self.assert_restarts(service)

    def test_reverse_proxy_sidecar(self):
        service = self.service("sidecar/overlays/blocking", "shop")
        self.assert_protects(service)
        self.assert_restarts(service)

    def test_native_sidecar_starts_first_and_ends_last(self):
        objects_blocking = [doc for doc in objects("sidecar/overlays/blocking") if doc["kind"] == "ConfigMap"]
        docs = [doc for doc in objects("sidecar/overlays/native") if doc["kind"] != "ConfigMap"] + objects_blocking
        service = Service(Cluster(docs), "shop", "shop")
        self.addCleanup(service.close)
        self.assert_protects(service.start())
        self.assert_restarts(service)
