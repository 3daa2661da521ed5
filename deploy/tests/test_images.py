"""The images as they were built."""

import copy
import json
import os
import subprocess
import tarfile
import tempfile
import unittest

from rehearsal.images import read_layout, unpack
from rehearsal.parts import ROOT, path

MODULE = "application/vnd.module.wasm.content.layer.v1+wasm"
#: Folders of the machine that built it, of which nothing may be in an image.
MACHINE = [str(ROOT), os.path.expanduser("~/.cargo"), os.path.expanduser("~/.rustup")]
LABELS = ["title", "description", "version", "revision", "source", "documentation", "licenses"]


def layout(name, variable="PORTCULLIS_IMAGES"):
    """An image's layout."""
    return path(variable) / name


def digest(folder):
    """The digest of a layout's image."""
    return json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]


def labels(config):
    """What is missing among the labels."""
    given = config.get("Labels", {})
    return [f"no label {name}" for name in LABELS if not given.get(f"org.opencontainers.image.{name}")]


def agent_complaints(config):
    """What is wrong with the configuration of the agent's image."""
    wanted = {
        "User": "65532:65532", "Entrypoint": ["/usr/sbin/portcullis-agent"], "Volumes": {"/sigsci/tmp": {}},
        "StopSignal": "SIGTERM",
    }
    found = [f"{key} is {config.get(key)}" for key, value in wanted.items() if config.get(key) != value]
    for entry in ("SIGSCI_RPC_ADDRESS=unix:/sigsci/tmp/sigsci.sock", "SIGSCI_SHARED_CACHE_DIR=/sigsci/tmp/cache"):
        if entry not in config.get("Env", []):
            found.append(f"Env has no {entry}")
    return found + labels(config)


def module_complaints(manifest, files):
    """What is wrong with the filter's image: what loads it takes the one layer that it knows."""
    found = []
    if len(manifest["layers"]) != 1:
        found.append(f"{len(manifest['layers'])} layers")
    if files != ["plugin.wasm"]:
        found.append(f"holds {files}")
    return found


class Agent(unittest.TestCase):
    """The agent's image."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = holder.name
        os.chmod(self.root, 0o755)
        self.config = unpack(layout("portcullis-agent"), self.root)

    def file(self, name):
        """A file of the image."""
        return os.path.join(self.root, name)

    def test_is_set_up_as_its_page_says(self):
        self.assertEqual(agent_complaints(self.config), [])
        stat = os.stat(self.file("sigsci/tmp"))
        self.assertEqual((stat.st_uid, stat.st_gid), (65532, 65532))

    def test_notices_each_change_of_its_configuration(self):
        for key in ("User", "Entrypoint", "Volumes", "StopSignal", "Env", "Labels"):
            broken = copy.deepcopy(self.config)
            del broken[key]
            self.assertNotEqual(agent_complaints(broken), [], key)
        self.assertNotEqual(agent_complaints({**self.config, "User": "0:0"}), [])
        self.assertNotEqual(agent_complaints({**self.config, "Entrypoint": ["/bin/sh", "-c", "x"]}), [])

    def test_is_smaller_than_twenty_megabytes(self):
        size = sum(file.stat().st_size for file in (layout("portcullis-agent") / "blobs/sha256").iterdir())
        unpacked = sum(os.lstat(os.path.join(parent, name)).st_size
                       for parent, _, names in os.walk(self.root) for name in names)
        self.assertLess(size, 20e6)
        self.assertLess(unpacked, 20e6)

    def test_holds_nothing_that_needs_what_it_does_not_hold(self):
        with open(self.file("usr/sbin/portcullis-agent"), "rb") as file:
            program = file.read()
        self.assertEqual(interpreter(program), None)
        for folder in MACHINE:
            self.assertFalse(folder.encode() in program, folder)

    def test_runs_with_nothing_but_itself(self):
        chroot = ["chroot", "--userspec=65532:65532", self.root]
        said = subprocess.run([*chroot, *self.config["Entrypoint"], "--version"], check=True, stdout=subprocess.PIPE)
        version = self.config["Labels"]["org.opencontainers.image.version"]
        self.assertEqual(said.stdout.decode(), f"portcullis-agent {version}\n")
        for name in ("/usr/sbin/sigsci-agent", "/sigsci/bin/sigsci-agent"):
            subprocess.run([*chroot, name, "--version"], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(subprocess.run([*chroot, "/bin/sleep", "0.01"], check=False).returncode, 0)
        self.assertEqual(subprocess.run([*chroot, "/bin/sleep", "x"], check=False, stderr=subprocess.DEVNULL).returncode, 1)

    def test_carries_roots_and_the_list_of_what_it_is_made_of(self):
        with open(self.file("etc/ssl/certs/ca-certificates.crt"), encoding="ascii") as file:
            self.assertGreater(file.read().count("-----BEGIN CERTIFICATE-----"), 100)
        with open(self.file("usr/share/sbom/portcullis-agent.cdx.json"), encoding="utf-8") as file:
            text = file.read()
        bom = json.loads(text)
        self.assertEqual((bom["bomFormat"], bom["specVersion"]), ("CycloneDX", "1.5"))
        names = {component["name"] for component in bom["components"]}
        self.assertLessEqual({"tokio", "hyper", "rustls", "ring", "portcullis-detect"}, names)
        self.assertFalse({"wasmtime", "proptest", "criterion"} & names)
        for folder in MACHINE:
            self.assertFalse(folder in text, folder)

    def test_has_a_version_for_a_tag(self):
        index = json.loads((layout("portcullis-agent") / "index.json").read_text())
        tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        self.assertEqual(tag, self.config["Labels"]["org.opencontainers.image.version"])
        self.assertRegex(tag, r"^\d+\.\d+\.\d+$")


class Filter(unittest.TestCase):
    """The filter's image and artifact."""

    def image(self):
        """(manifest, files, configuration) of the image."""
        manifest, configuration, layers = read_layout(layout("portcullis-filter"))
        with tarfile.open(layers[0]) as archive:
            return manifest, [entry.name for entry in archive if entry.isfile()], configuration

    def test_is_one_layer_with_the_module(self):
        manifest, files, configuration = self.image()
        self.assertEqual(module_complaints(manifest, files), [])
        self.assertEqual(labels(configuration["config"]), [])

    def test_notices_what_could_not_be_loaded(self):
        manifest, files, _ = self.image()
        self.assertNotEqual(module_complaints({**manifest, "layers": manifest["layers"] * 2}, files), [])
        self.assertNotEqual(module_complaints(manifest, ["filter.wasm"]), [])

    def test_the_artifact_is_the_module_itself(self):
        manifest, _, layers = read_layout(layout("portcullis-filter-artifact"))
        self.assertEqual([layer["mediaType"] for layer in manifest["layers"]], [MODULE])
        self.assertEqual(layers[0].read_bytes(), path("PORTCULLIS_FILTER_WASM").read_bytes())
        self.assertTrue(layers[0].read_bytes().startswith(b"\0asm"))


class Reproducible(unittest.TestCase):
    """Two builds."""

    def test_two_builds_have_one_digest(self):
        for name in ("portcullis-agent", "portcullis-filter", "portcullis-filter-artifact"):
            self.assertEqual(digest(layout(name)), digest(layout(name, "PORTCULLIS_IMAGES_AGAIN")), name)


def interpreter(program):
    """The loader that an ELF file asks for; None for one that is complete."""
    assert program[:4] == b"\x7fELF" and program[4] == 2
    number = lambda at, size: int.from_bytes(program[at:at + size], "little")
    headers, size, count = number(32, 8), number(54, 2), number(56, 2)
    for at in range(headers, headers + size * count, size):
        if number(at, 4) == 3:
            offset, length = number(at + 8, 8), number(at + 32, 8)
            return program[offset:offset + length]
    return None
