"""Pods of a Deployment, played on this machine."""

import base64
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from . import images, volumes
from .container import Container
from .network import Network
from .process import Process

#: What stands for an image: by the name without registry and tag.
IMAGES = {
    "e2e-test-images/agnhost": lambda _folder: images.application(),
    "envoyproxy/envoy": lambda _folder: images.envoy(),
    "openresty/openresty": lambda _folder: images.openresty(),
    "portcullis-waf/portcullis-agent": images.AgentImage,
}


def image(reference, folder):
    """What stands for an image."""
    name = reference.rsplit(":", 1)[0].split("/", 1)[1]
    return IMAGES[name](folder)


class Cluster:
    """The objects that pods refer to."""

    def __init__(self, objects, secrets=(), services=()):
        self.objects = {(doc["kind"], doc["metadata"]["name"]): doc for doc in objects}
        self.secrets = {"sigsci-keys": {"accesskeyid": "key-id", "secretaccesskey": "key-secret"}, **dict(secrets)}
        #: Names of Services that pods ask, and the port of each: the sample application answers there.
        self.services = dict(services)

    def deployment(self, name):
        """A Deployment."""
        return self.objects["Deployment", name]

    def files(self, volume):
        """The files of a ConfigMap's or Secret's volume; None for an emptyDir."""
        if "emptyDir" in volume:
            return None
        if "secret" in volume:
            data = self.secrets[volume["secret"]["secretName"]]
            items = volume["secret"].get("items")
        else:
            found = self.objects["ConfigMap", volume["configMap"]["name"]]
            data = {**found.get("data", {}), **binary(found)}
            items = volume["configMap"].get("items")
        if items is None:
            return data
        return {item["path"]: data[item["key"]] for item in items}


def binary(config_map):
    """What a ConfigMap holds as base64."""
    return {name: base64.b64decode(data) for name, data in config_map.get("binaryData", {}).items()}


class Pod:
    """One pod: started in its order, probed, and ended as the kubelet does it."""

    def __init__(self, cluster, deployment, name):
        self.cluster, self.name = cluster, name
        self.spec = cluster.deployment(deployment)["spec"]["template"]["spec"]
        self.holder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.holder.name)
        self.folder.chmod(0o755)
        self.network = Network()
        self.volumes = {volume["name"]: self.make(volume) for volume in self.spec.get("volumes", [])}
        self.containers, self.sidecars = [], []
        self.neighbours = [self.neighbour(port) for port in cluster.services.values()]
        try:
            self.start()
        except BaseException:
            self.kill()
            raise

    def make(self, volume):
        """A volume's folder."""
        folder = self.folder / "volumes" / volume["name"]
        files = self.cluster.files(volume)
        return volumes.empty_dir(folder) if files is None else volumes.projected(folder, files)

    def neighbour(self, port):
        """The sample application within reach of the pod, as a Service would be."""
        command = [sys.executable, "-m", "rehearsal.application", f"127.0.0.1:{port}"]
        process = Process(["nsenter", f"--net={self.network.path}", *command],
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        process.wait_for("application listens")
        return process

    def update(self, volume, files):
        """What the kubelet does when a ConfigMap or Secret has changed."""
        volumes.replace(self.volumes[volume], files)

    def start(self):
        """Native sidecars first, each until it has started; then the containers."""
        for spec in self.spec.get("initContainers", []):
            if spec.get("restartPolicy") != "Always":
                raise AssertionError(f"{spec['name']}: an init container that ends cannot be rehearsed")
            self.sidecars.append(self.run(spec))
            self.sidecars[-1].await_probe("startupProbe")
        for spec in self.spec["containers"]:
            self.containers.append(self.run(spec))

    def run(self, spec):
        """Starts one container."""
        hosts = self.folder / f"hosts-{spec['name']}"
        entries = {"localhost": "127.0.0.1", self.name: self.network.address}
        entries |= dict.fromkeys(self.cluster.services, "127.0.0.1")
        hosts.write_text("".join(f"{address}\t{name}\n" for name, address in entries.items()))
        mounts = [(hosts, "/etc/hosts", "ro")]
        for mount in spec.get("volumeMounts", []):
            mounts.append((self.volumes[mount["name"]], mount["mountPath"], "ro" if mount.get("readOnly") else "rw"))
        return Container(spec, image(spec["image"], self.folder / f"image-{spec['name']}"), self.network, self.folder,
                         mounts, self.environment(spec))

    def environment(self, spec):
        """The container's variables."""
        variables = {}
        for entry in spec.get("env", []):
            source = entry.get("valueFrom", {})
            if "secretKeyRef" in source:
                value = self.cluster.secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
            elif "fieldRef" in source:
                value = {"metadata.name": self.name, "status.podIP": self.network.address,
                         "status.hostIP": "127.0.0.1"}[source["fieldRef"]["fieldPath"]]
            else:
                value = entry["value"]
            variables[entry["name"]] = value
        return variables

    def all(self):
        """Every container."""
        return [*self.sidecars, *self.containers]

    def container(self, name):
        """A container by its name."""
        return next(one for one in self.all() if one.name == name)

    def await_ready(self):
        """Waits until every container is ready, and alive; one that does not get there is ended."""
        try:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                for container in self.all():
                    container.await_probe(kind, 30)
        except BaseException:
            self.kill()
            raise
        return self

    def terminate(self):
        """Ends the pod: preStop, then SIGTERM, then native sidecars; nothing may outlast the grace."""
        end = time.monotonic() + self.spec.get("terminationGracePeriodSeconds", 30)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda container: self.end(container, end), self.containers))
        for container in reversed(self.sidecars):
            self.end(container, end)
        statuses = {container.name: container.process.child.returncode for container in self.all()}
        self.kill()
        return statuses

    def end(self, container, end):
        """Ends one container."""
        container.pre_stop(end - time.monotonic())
        container.process.signal(signal.SIGTERM)
        try:
            container.process.ended(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            container.process.kill()
            raise AssertionError(f"{container.name} had to be killed:\n{container.process.log()}") from None

    def kill(self):
        """Leaves nothing behind."""
        for process in [*(container.process for container in self.all()), *self.neighbours]:
            # Asked first: some programs have children, which a killed parent leaves behind.
            process.signal(signal.SIGTERM)
        for process in [*(container.process for container in self.all()), *self.neighbours]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.ended(3)
            process.kill()
        self.network.close()
        self.holder.cleanup()
