"""What can be said of manifests without running them. Each check returns its complaints as a list; none is good."""

import os
import re
import subprocess
import tempfile

import jsonschema
import kubernetes_validate
import yaml

from rehearsal.parts import DEPLOY, path

#: The version of Kubernetes whose schemas core objects are held against.
KUBERNETES = "1.34"

CORE = re.compile(r"^(v1|apps/v1|policy/v1|networking[.]k8s[.]io/v1)$")


def schemas(name):
    """The hand-cut schemas of a file."""
    return yaml.safe_load((DEPLOY / "tests/schemas" / f"{name}.yaml").read_text())


def objects(docs):
    """Core objects against Kubernetes' own schemas, others against the fields that we use."""
    custom = {**schemas("istio"), **schemas("gateway")}
    complaints = []
    for doc in docs:
        name = f"{doc.get('kind')} {doc.get('metadata', {}).get('name')}"
        if CORE.match(doc.get("apiVersion", "")):
            complaints += core(name, doc)
        elif doc.get("kind") in custom and custom[doc["kind"]]["apiVersion"] == doc["apiVersion"]:
            complaints += against(custom[doc["kind"]]["spec"], doc.get("spec"), name)
        else:
            complaints.append(f"{name}: no schema for {doc.get('apiVersion')} {doc.get('kind')}")
    return complaints


def core(name, doc):
    """One core object."""
    try:
        kubernetes_validate.validate(doc, KUBERNETES, strict=True)
    except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as error:
        return [f"{name}: {error.message}"]
    return []


def against(schema, value, name):
    """Any value against a schema."""
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)]


def pod_specs(docs):
    """(name, pod specification) of everything that makes pods."""
    for doc in docs:
        if doc["kind"] == "Deployment":
            yield doc["metadata"]["name"], doc["spec"]["template"]["spec"]
        elif doc["kind"] == "EnvoyProxy":
            yield (doc["metadata"]["name"],
                   doc["spec"]["provider"]["kubernetes"]["envoyDeployment"]["patch"]["value"]["spec"]["template"]["spec"])


def every_container(spec):
    """Containers and native sidecars."""
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def pods(docs):
    """What schemas cannot see: that names lead somewhere, and that the agent is run as it should be."""
    complaints = []
    for name, spec in pod_specs(docs):
        complaints += [f"{name}: {said}" for said in pod(spec)]
        complaints += [f"{name}: {said}" for said in references(spec, docs)]
    return complaints + services(docs)


def pod(spec):
    """One pod."""
    complaints = []
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    containers = every_container(spec)
    for container in containers:
        name = container["name"]
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                complaints.append(f"{name} mounts {mount['name']}, which is no volume")
        # A patch of a container that is made elsewhere has no image.
        if "image" in container and not re.search(r":v?[0-9][^:/]*$|@sha256:[0-9a-f]{64}$", container["image"]):
            complaints.append(f"{name}: {container['image']} names no version")
    agents = [container for container in containers if container["name"] == "portcullis-agent"]
    if len(agents) != 1 and any("sigsci" in str(container) for container in containers):
        complaints.append("there is no container portcullis-agent")
    for container in agents:
        complaints += agent(container, spec)
    return complaints


def agent(container, spec):
    """The agent's container."""
    complaints = []
    context = container.get("securityContext", {})
    wanted = {"runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
              "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
    complaints += [f"securityContext.{key} is not {value}" for key, value in wanted.items() if context.get(key) != value]
    mounted = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
    kinds = {volume["name"]: set(volume) - {"name"} for volume in spec.get("volumes", [])}
    if kinds.get(mounted.get("/sigsci/tmp")) != {"emptyDir"}:
        complaints.append("/sigsci/tmp is no emptyDir")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe not in container:
            complaints.append(f"the agent has no {probe}")
    variables = {entry["name"]: str(entry.get("value", "name")) for entry in container.get("env", [])}
    listener = variables.get("SIGSCI_STARTUP_PROBE_LISTENER", ":none").rsplit(":", 1)[1]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        port = container.get(probe, {}).get("httpGet", {}).get("port")
        if port is not None and str(port) != listener:
            complaints.append(f"{probe} asks port {port}, where nothing answers")
    return complaints + grace(container, spec) + options(variables, mounted)


def grace(container, spec):
    """preStop and the agent's own grace fit into the pod's."""
    hook = container.get("lifecycle", {}).get("preStop", {})
    waits = hook.get("sleep", {}).get("seconds", 0) + 25
    if "terminationGracePeriodSeconds" in spec and spec["terminationGracePeriodSeconds"] <= waits:
        return [f"terminationGracePeriodSeconds is not longer than preStop and shutdown-grace ({waits} s)"]
    return []


def options(variables, mounted):
    """The agent itself reads its options, as `check-config` does; files of volumes are stood in for."""
    with tempfile.TemporaryDirectory() as folder:
        given = {}
        for name, value in variables.items():
            if name.endswith("_FILE") and name.startswith("SIGSCI_"):
                if not any(value.startswith(f"{mount}/") for mount in mounted):
                    return [f"{name}: {value} is in no volume"]
                stand_in = os.path.join(folder, name)
                with open(stand_in, "w", encoding="utf-8") as file:
                    file.write("{}" if "POLICY" in name else "key")
                value = stand_in
            given[name] = value
        done = subprocess.run([path("PORTCULLIS_AGENT"), "check-config"], env={**given, "SIGSCI_CONFIG": "/dev/null"},
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or "unknown option" in done.stdout or "warning" in done.stdout.lower():
        return [f"check-config: {done.stdout.strip()[:400]}"]
    return []


#: Made by hand, as the pages say: keys are nobody's to ship.
MADE_BY_HAND = {("Secret", "sigsci-keys"), ("Secret", "ingress-nginx-admission")}


def references(spec, docs):
    """ConfigMaps and Secrets exist."""
    there = {(doc["kind"], doc["metadata"]["name"]): doc for doc in docs}
    complaints = []
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            wanted = ("Secret", volume["secret"]["secretName"])
        elif "configMap" in volume:
            wanted = ("ConfigMap", volume["configMap"]["name"])
        else:
            continue
        if wanted not in there:
            if wanted not in MADE_BY_HAND:
                complaints.append(f"there is no {wanted[0]} {wanted[1]}")
            continue
        found = there[wanted]
        keys = {*found.get("data", {}), *found.get("binaryData", {})}
        for item in volume.get("configMap", {}).get("items", []):
            if item["key"] not in keys:
                complaints.append(f"{wanted[0]} {wanted[1]} has no {item['key']}")
    return complaints


def services(docs):
    """A Service leads to a port that a container of its pods has."""
    complaints = []
    for doc in docs:
        if doc["kind"] != "Service" or not (selector := doc["spec"].get("selector")):
            continue
        matching = [one["spec"]["template"] for one in docs if one["kind"] == "Deployment"
                    and selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()]
        for template in matching:
            ports = {port["containerPort"] for container in every_container(template["spec"])
                     for port in container.get("ports", [])}
            for port in doc["spec"]["ports"]:
                if port.get("targetPort", port["port"]) not in ports:
                    complaints.append(f"Service {doc['metadata']['name']}: nothing has port {port.get('targetPort')}")
    return complaints
