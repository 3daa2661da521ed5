"""What a container's image holds: the agent's own image as it was built, and for others this machine's programs."""

import json
import os
import pathlib
import sys
import tarfile

from . import nginx
from .parts import DEPLOY, ROOT, path


def read_layout(layout):
    """(manifest, configuration) of an OCI layout, and the file of each of its layers."""
    blob = lambda digest: layout / "blobs" / digest.replace(":", "/")
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    configuration = json.loads(blob(manifest["config"]["digest"]).read_text())
    return manifest, configuration, [blob(layer["digest"]) for layer in manifest["layers"]]


def unpack(layout, folder):
    """The image's files in `folder`, as a container would find them, and its configuration."""
    _, configuration, layers = read_layout(layout)
    for layer in layers:
        with tarfile.open(layer) as archive:
            archive.extractall(folder, filter="fully_trusted")
    return configuration["config"]


class AgentImage:
    """The agent's image."""

    def __init__(self, folder):
        self.copy = pathlib.Path(folder)
        self.config = unpack(path("PORTCULLIS_IMAGES") / "portcullis-agent", self.copy)
        self.binds = []

    def command(self, container):
        """Kubernetes' `command` replaces the entrypoint, `args` the image's own arguments."""
        return [*container.get("command", self.config["Entrypoint"]), *container.get("args", [])]

    def environment(self):
        """The variables that the image sets."""
        return dict(entry.split("=", 1) for entry in self.config["Env"])

    def user(self):
        """(uid, gid) of the image."""
        uid, gid = self.config["User"].split(":")
        return int(uid), int(gid)


class MachineImage:
    """This machine's programs in the place of an image that cannot be pulled here. `extra` are folders that are visible
    in it, `programs` the programs that stand for those of the image."""

    copy = None

    def __init__(self, programs, extra=(), environment=()):
        self.programs, self.variables = programs, dict(environment)
        self.binds = [folder for folder in ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc") if os.path.exists(folder)]
        self.binds += [str(folder) for folder in extra]

    def command(self, container):
        """The command line, with the program that stands for its first word."""
        words = container.get("command", []) + container.get("args", [])
        return self.replaced(words)

    def replaced(self, words):
        """`words` with the program that stands for the first."""
        stand_in = self.programs.get(words[0]) if words else None
        return [*stand_in, *words[1:]] if stand_in else words

    def environment(self):
        """What the stand-ins need."""
        return {"PATH": os.environ["PATH"], **self.variables}

    def user(self):
        """Of an image that says nothing."""
        return 65534, 65534


def application():
    """In the place of agnhost: the sample application."""
    python = [sys.executable, "-m", "rehearsal.application", "0.0.0.0:8000"]
    image = MachineImage({}, extra=[ROOT, *python_folders()], environment={"PYTHONPATH": str(DEPLOY / "tests")})
    image.command = lambda _container: python
    return image


def python_folders():
    """Where this Python stands, if not below /usr."""
    return [sys.base_prefix] if not sys.base_prefix.startswith("/usr") else []


def envoy():
    """Envoy's image."""
    binary = path("PORTCULLIS_ENVOY")
    return MachineImage({"envoy": [str(binary)]}, extra=[binary.parent])


def openresty():
    """OpenResty's image: nginx with its Lua module loaded."""
    root = path("PORTCULLIS_NGINX")
    modules = root / nginx.MODULES
    load = f"load_module {modules}/ndk_http_module.so; load_module {modules}/ngx_http_lua_module.so;"
    variables = nginx.environment()
    variables["LUA_PATH"] = f"{root}/{nginx.RESTY}/?.lua;;"
    # OpenResty knows its own Lua library; elsewhere the variable stands for it.
    load += " env LUA_PATH;"
    image = MachineImage({"openresty": [str(nginx.binary()), "-g", load]}, environment=variables,
                         extra=[] if root == pathlib.Path("/") else [root])
    return image
