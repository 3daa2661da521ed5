"""Manifests played with processes: traffic, attacks, and a rolling restart under load."""

import time
import unittest

from manifests import objects
from rehearsal.client import FORM
from rehearsal.parts import ATTACK, BLOCK
from rehearsal.pod import Cluster
from rehearsal.service import Load, RpcService, Service

SQL = b"id=1' OR '1'='1"


def patient(docs):
    """The objects with more time for a verdict: pods, clients and the agent share the same few cores here."""
    for doc in docs:
        for name, text in doc.get("data", {}).items() if doc["kind"] == "ConfigMap" else ():
            text = text.replace('"timeout_ms": 100', '"timeout_ms": 2000')
            doc["data"][name] = text.replace('counters = "portcullis" })', 'counters = "portcullis", timeout_ms = 2000 })')
    return docs


class Rehearsal(unittest.TestCase):
    """Starts a Service's pods, and stops them at the end."""

    def service(self, folder, name, **cluster):
        """The Service `name` of a folder, started."""
        service = Service(Cluster(patient(objects(folder)), **cluster), name, name)
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

    def test_the_agent_as_a_service(self):
        docs = objects("service/base")
        next(doc for doc in docs if doc["kind"] == "ConfigMap")["data"]["policy.json"] = BLOCK
        service = RpcService(Cluster(docs), "portcullis-agent", "portcullis-agent")
        self.addCleanup(service.close)
        service.start()
        load = Load(service, [("/hello?name=bob", 200), (ATTACK, 406)])
        ends = service.restart()
        count, wrong = load.end()
        self.assertEqual((wrong, ends), ([], [{"portcullis-agent": 0}] * 2), f"of {count}")
        self.assertGreater(count, 100)


def part(docs, name):
    """A container of the module's pod."""
    spec = next(doc for doc in docs if doc["kind"] == "Deployment")["spec"]["template"]["spec"]
    return next(container for container in spec["containers"] if container["name"] == name)


def unmount(docs, name, folder):
    """Takes a volume from a container."""
    mounts = part(docs, name)["volumeMounts"]
    mounts.remove(next(mount for mount in mounts if mount["mountPath"] == folder))


class Broken(unittest.TestCase):
    """A rehearsal fails where a cluster would."""

    def pod(self, breaking):
        """One pod of a broken manifest, if it gets ready."""
        docs = objects("module/overlays/blocking")
        breaking(docs)
        service = Service(Cluster(docs), "shop", "shop")
        self.addCleanup(service.close)
        service.pod()
        return service

    def test_a_container_that_cannot_start_is_noticed(self):
        for breaking in [
            lambda docs: unmount(docs, "nginx", "/tmp"),
            lambda docs: unmount(docs, "nginx", "/usr/share/portcullis/lua"),
            lambda docs: unmount(docs, "portcullis-agent", "/sigsci/policy"),
            lambda docs: unmount(docs, "portcullis-agent", "/sigsci/keys"),
            lambda docs: part(docs, "portcullis-agent").update(args=["check"]),
        ]:
            with self.assertRaisesRegex(AssertionError, "has ended"):
                self.pod(breaking)

    def test_a_user_that_is_root_is_noticed(self):
        with self.assertRaisesRegex(AssertionError, "the user is root"):
            self.pod(lambda docs: part(docs, "portcullis-agent")["securityContext"].update(runAsUser=0))

    def test_a_module_that_cannot_reach_the_agent_is_noticed(self):
        service = self.pod(lambda docs: unmount(docs, "nginx", "/sigsci/tmp"))
        self.assertEqual(service.ask().seen("X-SigSci-AgentResponse"), [])
        self.assertEqual(service.ask(ATTACK).status, 200)

    def test_a_pre_stop_that_fails_is_noticed(self):
        service = self.pod(lambda docs: part(docs, "nginx")["lifecycle"]["preStop"]["exec"].update(command=["nothing"]))
        with self.assertRaisesRegex(AssertionError, "preStop fails"):
            service.endpoints[0].terminate()

    def test_a_restart_without_pre_stop_fails_requests(self):
        def breaking(docs):
            del part(docs, "nginx")["lifecycle"]
            del part(docs, "shop")["lifecycle"]

        service = self.pod(breaking)
        service.endpoints[0].end(service.endpoints[0].container("nginx"), time.monotonic() + 20)
        # The endpoint list learns of it later.
        with self.assertRaises(OSError):
            service.ask()
