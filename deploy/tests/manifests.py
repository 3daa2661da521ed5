"""Manifests as a user applies them: built by kustomize, in a copy of the folders that hold them."""

import functools
import pathlib
import shutil
import subprocess
import tempfile

import yaml

try:
    from yaml import CSafeLoader as Loader
except ImportError:
    from yaml import SafeLoader as Loader

from rehearsal.parts import ROOT, path

#: What stands for the manifest that a kustomization fetches.
CONTROLLER = """
apiVersion: apps/v1
kind: Deployment
metadata: { name: ingress-nginx-controller, namespace: ingress-nginx }
spec:
  selector: { matchLabels: { app: ingress-nginx } }
  template:
    metadata: { labels: { app: ingress-nginx } }
    spec:
      containers:
        - name: controller
          image: registry.k8s.io/ingress-nginx/controller:v1.11.5
          volumeMounts: [{ name: webhook-cert, mountPath: /usr/local/certificates/, readOnly: true }]
      volumes: [{ name: webhook-cert, secret: { secretName: ingress-nginx-admission } }]
---
apiVersion: v1
kind: ConfigMap
metadata: { name: ingress-nginx-controller, namespace: ingress-nginx }
data: { allow-snippet-annotations: "false" }
"""


@functools.cache
def copy():
    """The copy, with the module where envoy/base wants it."""
    holder = tempfile.TemporaryDirectory()
    copy.holder = holder
    folder = pathlib.Path(holder.name)
    for part in ("deploy", "nginx"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("tests", "plugin.wasm"))
    shutil.copyfile(path("PORTCULLIS_FILTER_WASM"), folder / "deploy/envoy/base/plugin.wasm")
    static = folder / "deploy/ingress-nginx/static"
    (static / "fetched.yaml").write_text(CONTROLLER)
    kustomization = (static / "kustomization.yaml").read_text()
    fetched = next(line.split("- ", 1)[1] for line in kustomization.splitlines() if "https://" in line)
    (static / "kustomization.yaml").write_text(kustomization.replace(fetched, "fetched.yaml"))
    return folder / "deploy"


@functools.cache
def text(name):
    """What `kubectl kustomize` says of a folder of deploy/."""
    done = subprocess.run([path("PORTCULLIS_KUBECTL"), "kustomize", copy() / name], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise AssertionError(f"kustomize build {name}: {done.stderr}")
    return done.stdout


def objects(name):
    """The objects of a folder, new ones each time."""
    return [doc for doc in yaml.load_all(text(name), Loader) if doc]


def documents(name):
    """The documents of one file."""
    return [doc for doc in yaml.safe_load_all((ROOT / "deploy" / name).read_text()) if doc]


def folders():
    """Every folder with a kustomization that is no component."""
    found = (file.parent.relative_to(copy()) for file in copy().rglob("kustomization.yaml"))
    return sorted(str(folder) for folder in found if folder.parts[0] != "components")
