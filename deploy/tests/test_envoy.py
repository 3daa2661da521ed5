"""Every fragment of Envoy's configuration, assembled as its control plane would: Envoy validates it, then runs it."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import yaml

import control_plane
from control_plane import base, envoy_gateway, istio, place_module, wasm_configs
from manifests import documents, objects
from rehearsal.agents import Agent
from rehearsal.application import Application
from rehearsal.client import FORM, ask
from rehearsal.parts import ATTACK, ROOT, free_port, path
from rehearsal.process import Process

SQL = b"id=1' OR '1'='1"


def gateway(port, app_port):
    """Istio's ingress gateway with the EnvoyFilter."""
    return istio(objects("istio/gateway"), base(port, app_port, 32768))


def wasm_plugin(port, app_port):
    """Istio's ingress gateway with the WasmPlugin."""
    return istio(objects("istio/wasmplugin"), base(port, app_port, 32768))


def mesh(port, app_port):
    """The inbound listener of a mesh pod."""
    return istio(objects("istio/mesh"), base(port, app_port), "SIDECAR_INBOUND")


def eg_base(port, app_port):
    """Envoy Gateway as it is."""
    return envoy_gateway(objects("envoy-gateway/base"), port, app_port)


def eg_hold(port, app_port):
    """Envoy Gateway with the flag."""
    return envoy_gateway(objects("envoy-gateway/hold"), port, app_port)


def plain(port, app_port):
    """The pod's own configuration."""
    config = documents("envoy/base/envoy.yaml")[0]
    resources = config["static_resources"]
    resources["listeners"] = resources["listeners"][:1]
    resources["listeners"][0]["address"] = control_plane.address(port)
    for cluster in resources["clusters"]:
        if cluster["name"] == "application":
            endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
            endpoint["address"] = control_plane.address(app_port)
    return config


HOLD = [gateway, mesh, eg_hold, plain]
AFTER = [wasm_plugin, eg_base]


class Case(unittest.TestCase):
    """A folder for a configuration."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)

    def write(self, config, socket="/sigsci/tmp/sigsci.sock"):
        """The configuration as a file, with the module and the socket where they are here."""
        place_module(config, path("PORTCULLIS_FILTER_WASM"))
        config["admin"] = {"address": control_plane.address(free_port())}
        file = self.folder / "envoy.json"
        file.write_text(json.dumps(config).replace("/sigsci/tmp/sigsci.sock", str(socket)))
        return file

    def complaints(self, config):
        """What is wrong with a configuration."""
        file = self.write(config)
        done = subprocess.run([path("PORTCULLIS_ENVOY"), "--mode", "validate", "--disable-hot-restart", "-c", file],
                              check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = [] if done.returncode == 0 else [done.stdout[-2000:]]
        found += [line for line in done.stdout.splitlines() if "[error][wasm]" in line or "portcullis: config" in line]
        clusters = {cluster["name"] for cluster in config["static_resources"]["clusters"]}
        for plugin in wasm_configs(config):
            own = json.loads(plugin["configuration"]["value"])
            if own["agent_cluster"] not in clusters:
                found.append(f"the filter asks {own['agent_cluster']}, which is no cluster")
            if own["body"]["mode"] == "hold" and not plugin.get("allow_on_headers_stop_iteration"):
                found.append("body.mode is hold, and allow_on_headers_stop_iteration is not set")
            limit = config["static_resources"]["listeners"][0].get("per_connection_buffer_limit_bytes", 1 << 20)
            if own["body"]["max_bytes"] >= limit:
                found.append("body.max_bytes is not below the listener's buffer limit")
            if plugin.get("failure_policy") != "FAIL_RELOAD" and "envoyextensionpolicy" not in str(plugin):
                found.append("failure_policy is not FAIL_RELOAD")
        return found


class Validated(Case):
    """`envoy --mode validate`, which runs the module's own start too."""

    def test_envoy_accepts_every_assembled_configuration(self):
        for make in [*HOLD, *AFTER]:
            with self.subTest(make.__doc__):
                self.assertEqual(self.complaints(make(free_port(), 1)), [])

    def test_notices_each_broken_fragment(self):
        def cluster_of(docs, kind):
            return next(doc for doc in docs if doc["kind"] == kind)["spec"]

        def filter_patch(docs, number):
            return cluster_of(docs, "EnvoyFilter")["configPatches"][number]["patch"]["value"]

        on_istio = lambda docs: istio(docs, base(free_port(), 1, 32768))
        on_mesh = lambda docs: istio(docs, base(free_port(), 1), "SIDECAR_INBOUND")
        on_eg = lambda docs: envoy_gateway(docs, free_port(), 1)
        plugin = lambda docs: filter_patch(docs, 1)["typed_config"]["config"]
        broken = [
            ("istio/gateway", on_istio, lambda docs: filter_patch(docs, 0).update(name="agent"), "which is no cluster"),
            ("istio/gateway", on_istio, lambda docs: filter_patch(docs, 0).update(tipe="STATIC"), "tipe"),
            ("istio/gateway", on_istio, lambda docs: plugin(docs).pop("allow_on_headers_stop_iteration"), "is not set"),
            ("istio/gateway", on_istio, lambda docs: plugin(docs).update(allow_on_header_stop=True), "allow_on_header_stop"),
            ("istio/gateway", on_istio, lambda docs: plugin(docs).update(failure_policy="FAIL_OPEN"), "failure_policy"),
            ("istio/mesh", on_mesh, lambda docs: filter_patch(docs, 0).update(name="agent"), "which is no cluster"),
            ("istio/wasmplugin", on_istio, lambda docs: cluster_of(docs, "WasmPlugin")["pluginConfig"].update(
                body={"mode": "hold", "max_bytes": 1}), "is not set"),
            ("istio/wasmplugin", on_istio, lambda docs: cluster_of(docs, "WasmPlugin")["pluginConfig"].update(
                body={"mode": "after", "max_bytes": 32768}), "buffer limit"),
            ("istio/wasmplugin", on_istio, lambda docs: docs.remove(next(d for d in docs if d["kind"] == "EnvoyFilter")),
             "which is no cluster"),
            ("envoy-gateway/base", on_eg, lambda docs: cluster_of(docs, "EnvoyExtensionPolicy")["wasm"][0]["config"].update(
                agent_cluster="x"), "which is no cluster"),
            ("envoy-gateway/hold", on_eg, lambda docs: docs.remove(next(
                d for d in docs if d["metadata"]["name"] == "portcullis-hold")), "is not set"),
        ]
        for number, (folder, assemble, breaking, said) in enumerate(broken):
            with self.subTest(f"{number}: {folder}: {said}"):
                docs = objects(folder)
                breaking(docs)
                self.assertIn(said, "\n".join(self.complaints(assemble(docs))))

    def test_a_patch_that_leads_nowhere_is_noticed(self):
        docs = objects("envoy-gateway/hold")
        extension = next(doc for doc in docs if doc["kind"] == "EnvoyExtensionPolicy")
        extension["metadata"]["name"] = "renamed"
        with self.assertRaisesRegex(AssertionError, "leads nowhere"):
            envoy_gateway(docs, 1, 1)

    def test_the_pods_configuration_is_the_shipped_one(self):
        pod = documents("envoy/base/envoy.yaml")[0]
        shipped = yaml.safe_load((ROOT / "envoy/envoy.yaml").read_text())
        text = json.dumps(shipped).replace("/var/run/sigsci.sock", "/sigsci/tmp/sigsci.sock")
        shipped = json.loads(text.replace("portcullis/filter.wasm", "portcullis/plugin.wasm"))
        listeners = pod["static_resources"]["listeners"], shipped["static_resources"]["listeners"]
        self.assertEqual(listeners[0][0]["filter_chains"], listeners[1][0]["filter_chains"])
        of_agent = lambda config: [one for one in config["static_resources"]["clusters"] if one["name"] == "portcullis-agent"]
        self.assertEqual(of_agent(pod), of_agent(shipped))
        self.assertEqual(pod["stats_config"], shipped["stats_config"])


class Run(Case):
    """Envoy runs what was assembled, with the real agent."""

    def start(self, make):
        """Envoy, the agent and the application."""
        agent = Agent(self.folder)
        self.addCleanup(agent.stop)
        app = Application()
        self.addCleanup(app.close)
        port = free_port()
        file = self.write(make(port, app.port), agent.socket)
        # Everything runs on the same few cores here, and not the time-out is under test.
        text = file.read_text()
        self.assertIn('timeout_ms\\": 100', text)
        file.write_text(text.replace('timeout_ms\\": 100', 'timeout_ms\\": 2000'))
        envoy = Process([path("PORTCULLIS_ENVOY"), "--disable-hot-restart", "--concurrency", "1", "-l", "info", "-c", file])
        self.addCleanup(envoy.kill)
        envoy.wait_for("starting main dispatch loop")
        return port, app

    def test_every_assembled_configuration_protects(self):
        for make in [*HOLD, *AFTER]:
            with self.subTest(make.__doc__):
                port, app = self.start(make)
                reply = ask(port)
                self.assertEqual((reply.status, reply.seen("X-SigSci-AgentResponse")), (200, ["200"]))
                self.assertEqual(ask(port, ATTACK).status, 406)
                self.assertEqual(ask(port, "/", "POST", b"name=bob", [FORM]).status, 200)
                del app.seen[:]
                self.assertEqual(ask(port, "/", "POST", SQL, [FORM]).status, 406)
                if make in HOLD:
                    self.assertEqual(app.seen, [])
                self.doCleanups()
                self.setUp()
