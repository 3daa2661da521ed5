"""Every folder's objects are what Kubernetes, Istio and Envoy Gateway accept, and a broken one is noticed."""

import copy
import unittest

import yaml

import checks
from manifests import documents, folders, objects
from rehearsal.parts import DEPLOY

#: Folders that hold only a part: what their pods refer to is in another.
PARTS = {"istio/gateway", "istio/wasmplugin"}


def complaints(docs):
    """All that is wrong; what is not well-formed is not looked at further."""
    return checks.objects(docs) or checks.pods(docs)


class Objects(unittest.TestCase):
    """What `kubectl kustomize` makes of each folder."""

    def test_every_folder_builds_into_valid_objects(self):
        self.assertGreater(len(folders()), 14)
        for folder in folders():
            with self.subTest(folder):
                self.assertEqual(complaints(objects(folder)), [])

    def test_the_http_route_to_migrate_to_is_valid(self):
        self.assertEqual(checks.objects(documents("ingress-nginx/gateway-api.yaml")), [])


class Values(unittest.TestCase):
    """Values of official charts, and the compose file."""

    def pod_of(self, name, values):
        """The pod that the chart would make."""
        if name.startswith("istio"):
            return {"volumes": values["volumes"], "containers": [
                {"name": "istio-proxy", "volumeMounts": values["volumeMounts"]}, *values["additionalContainers"]]}
        controller = values["controller"]
        return {"volumes": controller.get("extraVolumes") or controller.get("volumes"), "containers": [
            {"name": "controller", "volumeMounts": controller.get("extraVolumeMounts") or controller.get("volumeMounts")},
            *controller["extraContainers"]]}

    def complaints(self, name, values):
        """All that is wrong."""
        found = checks.against(checks.schemas("values")[name], values, name)
        if not found and name.startswith(("istio", "ingress", "nginx")):
            found += checks.pod(self.pod_of(name, values))
        return found

    def test_values_are_what_the_charts_take(self):
        for name in checks.schemas("values"):
            with self.subTest(name):
                self.assertEqual(self.complaints(name, documents(name)[0]), [])

    def test_every_copy_of_the_agents_container_is_the_components(self):
        component = documents("components/agent/agent.yaml")[0]["spec"]["template"]["spec"]["containers"][0]
        copies = {
            "istio/gateway/values.yaml": lambda doc: doc["additionalContainers"],
            "ingress-nginx/values.yaml": lambda doc: doc["controller"]["extraContainers"],
            "ingress-nginx/values-lua.yaml": lambda doc: doc["controller"]["extraContainers"],
            "nginx-ingress/values.yaml": lambda doc: doc["controller"]["extraContainers"],
        }
        for name, containers in copies.items():
            with self.subTest(name):
                self.assertIn(component, containers(documents(name)[0]))
        for _, spec in checks.pod_specs(documents("envoy-gateway/base/gateway.yaml")):
            self.assertIn(component, spec["containers"])

    def test_the_static_manifest_says_what_the_values_say(self):
        values = documents("ingress-nginx/values-lua.yaml")[0]["controller"]
        spec = documents("ingress-nginx/static/controller.yaml")[0]["spec"]["template"]["spec"]
        self.assertEqual(spec["volumes"], values["extraVolumes"])
        self.assertEqual(spec["containers"][0]["volumeMounts"], values["extraVolumeMounts"])
        self.assertEqual(spec["containers"][1:], values["extraContainers"])

    def test_notices_broken_values(self):
        for name in checks.schemas("values"):
            good = documents(name)[0]
            with self.subTest(name):
                broken = copy.deepcopy(good)
                broken["unknown"] = {}
                self.assertNotEqual(self.complaints(name, broken), [])
                text = yaml.safe_dump(good).replace("sigsci-tmp", "sigsci-tpm", 1).replace("IfNotPresent", "Sometimes", 1)
                if name.startswith(("istio", "ingress", "nginx")):
                    self.assertNotEqual(self.complaints(name, yaml.safe_load(text)), [])


def find(docs, kind):
    """The first object of a kind."""
    return next(doc for doc in docs if doc["kind"] == kind)


def container(docs, name="portcullis-agent"):
    """A container of the first pod."""
    _, spec = next(iter(checks.pod_specs(docs)))
    return next(one for one in checks.every_container(spec) if one["name"] == name)


def variable(docs, name):
    """A variable of the agent."""
    return next(entry for entry in container(docs)["env"] if entry["name"] == name)


def pod_spec(docs):
    """The first pod."""
    return next(iter(checks.pod_specs(docs)))[1]


#: Folder, what is broken, and what must be said of it.
BROKEN = [
    ("sidecar/base", lambda docs: find(docs, "Deployment")["spec"].update(replicas="two"), "is not of type"),
    ("sidecar/base", lambda docs: find(docs, "Deployment")["spec"].update(replica=2), "replica"),
    ("sidecar/base", lambda docs: find(docs, "Service")["spec"]["ports"][0].update(targetPort=8002), "nothing has port 8002"),
    ("sidecar/base", lambda docs: docs.remove(find(docs, "ConfigMap")), "there is no ConfigMap portcullis-policy"),
    ("sidecar/base", lambda docs: container(docs).update(image="portcullis-agent:latest"), "names no version"),
    ("sidecar/base", lambda docs: container(docs)["securityContext"].pop("readOnlyRootFilesystem"), "readOnlyRootFilesystem"),
    ("sidecar/base", lambda docs: container(docs)["securityContext"].update(runAsNonRoot=False), "runAsNonRoot"),
    ("sidecar/base", lambda docs: container(docs).pop("startupProbe"), "no startupProbe"),
    ("sidecar/base", lambda docs: container(docs)["livenessProbe"]["httpGet"].update(port=2025), "where nothing answers"),
    ("sidecar/base", lambda docs: pod_spec(docs).update(terminationGracePeriodSeconds=30), "terminationGracePeriodSeconds"),
    ("sidecar/base", lambda docs: variable(docs, "SIGSCI_LOG_FORMAT").update(value="xml"), "check-config"),
    ("sidecar/base", lambda docs: variable(docs, "SIGSCI_LOG_FORMAT").update(name="SIGSCI_LOG_FORMATS"), "check-config"),
    ("sidecar/base", lambda docs: variable(docs, "SIGSCI_POLICY_FILE").update(value="/policy.json"), "is in no volume"),
    ("sidecar/base", lambda docs: variable(docs, "SIGSCI_REVPROXY_LISTENER").update(value="app:{listener='x'}"), "check-config"),
    ("sidecar/overlays/native", lambda docs: container(docs).update(restartPolicy=1), "is not of type"),
    ("sidecar/overlays/native", lambda docs: container(docs)["volumeMounts"][0].update(name="tmp"), "which is no volume"),
    ("sidecar/overlays/blocking", lambda docs: container(docs)["volumeMounts"].pop(0), "/sigsci/tmp is no emptyDir"),
    ("module/base", lambda docs: find(docs, "ConfigMap")["data"].clear(), "has no"),
    ("module/base", lambda docs: container(docs, "nginx").update(volumeMount=[]), "volumeMount"),
    ("service/base", lambda docs: find(docs, "NetworkPolicy")["spec"].update(policyTypes="Ingress"), "is not of type"),
    ("service/base", lambda docs: find(docs, "Service")["spec"].update(sessionAffinity=7), "is not of type"),
    ("service/base", lambda docs: find(docs, "PodDisruptionBudget")["spec"].update(minimum=1), "minimum"),
    ("envoy/base", lambda docs: container(docs, "envoy").update(ports=8080), "is not of type"),
    ("envoy/overlays/image-volume", lambda docs: pod_spec(docs)["volumes"][0].update(images={}), "images"),
    ("istio/gateway", lambda docs: find(docs, "EnvoyFilter")["spec"]["configPatches"][0].update(applyTo="CLUSTERS"), "CLUSTERS"),
    ("istio/gateway", lambda docs: find(docs, "EnvoyFilter")["spec"].update(selector={}), "selector"),
    ("istio/mesh", lambda docs: find(docs, "EnvoyFilter")["spec"]["configPatches"][2]["patch"].pop("value"), "value"),
    ("istio/wasmplugin", lambda docs: find(docs, "WasmPlugin")["spec"].update(failStrategy="RELOAD"), "RELOAD"),
    ("istio/wasmplugin", lambda docs: find(docs, "WasmPlugin")["spec"].update(url="oci://x/portcullis-filter:latest"), "latest"),
    ("envoy-gateway/base", lambda docs: find(docs, "GatewayClass")["spec"].update(controllerName="x"), "controllerName"),
    ("envoy-gateway/base", lambda docs: find(docs, "Gateway")["spec"]["listeners"][0].update(port="80"), "is not of type"),
    ("envoy-gateway/base", lambda docs: find(docs, "HTTPRoute")["spec"].pop("parentRefs"), "parentRefs"),
    ("envoy-gateway/base", lambda docs: find(docs, "EnvoyProxy")["spec"]["provider"].update(type="Host"), "Kubernetes"),
    ("envoy-gateway/base", lambda docs: container(docs)["volumeMounts"][0].update(name="tmp"), "which is no volume"),
    ("envoy-gateway/base", lambda docs: find(docs, "ClientTrafficPolicy")["spec"]["connection"].update(bufferLimit=1), "bufferLimit"),
    ("envoy-gateway/base", lambda docs: find(docs, "EnvoyExtensionPolicy")["spec"]["wasm"][0].update(fail=True), "fail"),
    ("envoy-gateway/hold", lambda docs: find(docs, "EnvoyPatchPolicy")["spec"].update(type="Merge"), "JSONPatch"),
    ("ingress-nginx/static", lambda docs: find(docs, "Ingress")["spec"].update(rules={}), "is not of type"),
    ("ingress-nginx/static", lambda docs: find(docs, "Deployment").update(apiVersion="extensions/v1beta1"), "no schema"),
    ("ingress-nginx/static", lambda docs: container(docs)["env"].append({"name": "SIGSCI_NOPE", "value": "1"}), "check-config"),
]


class Broken(unittest.TestCase):
    """Each check fails where it should."""

    def test_notices_each_broken_object(self):
        for number, (folder, breaking, said) in enumerate(BROKEN):
            with self.subTest(f"{number}: {folder}: {said}"):
                docs = objects(folder)
                breaking(docs)
                self.assertIn(said, "\n".join(complaints(docs)))

    def test_every_kind_is_broken_once(self):
        kinds = {doc["kind"] for folder in folders() for doc in objects(folder)}
        # A ConfigMap has no structure of its own to break; its keys are looked for.
        broken = {"ConfigMap", "Namespace", "Deployment"}
        for folder, breaking, _ in BROKEN:
            docs = objects(folder)
            before = copy.deepcopy(docs)
            breaking(docs)
            broken |= {old["kind"] for old in before if old not in docs}
        self.assertEqual(kinds - broken, set())

    def test_notices_a_kustomization_that_does_not_build(self):
        import manifests
        file = manifests.copy() / "sidecar/base/kustomization.yaml"
        good = file.read_text()
        try:
            file.write_text(good.replace("../application", "../aplication"))
            manifests.text.cache_clear()
            with self.assertRaisesRegex(AssertionError, "kustomize build sidecar/base"):
                objects("sidecar/base")
        finally:
            file.write_text(good)
            manifests.text.cache_clear()

    def test_the_schemas_know_no_kind_that_is_not_shipped(self):
        kinds = {doc["kind"] for folder in folders() for doc in objects(folder)}
        for file in ("istio", "gateway"):
            self.assertEqual(set(checks.schemas(file)) - kinds, set())
        self.assertTrue((DEPLOY / "tests/schemas").is_dir())
