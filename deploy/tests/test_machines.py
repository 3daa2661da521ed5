"""What runs on machines: the unit, the compose file, nginx's configurations, and every piece of shell."""

import configparser
import pathlib
import re
import subprocess
import tempfile
import unittest

import checks
from manifests import documents, folders, objects
from rehearsal import nginx
from rehearsal.parts import DEPLOY, KEYS, ROOT, path


def unit_complaints(text):
    """What is wrong with the agent's unit."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(text)
    service = unit["Service"]
    found = []
    if service.get("ExecStart") != "/usr/sbin/portcullis-agent":
        found.append(f"ExecStart is {service.get('ExecStart')}")
    if "-HUP" not in service.get("ExecReload", ""):
        found.append("no reload")
    if int(service.get("TimeoutStopSec", "90")) <= 32:
        found.append("TimeoutStopSec is not longer than shutdown-grace and shutdown-timeout")
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateDevices", "DynamicUser", "RestrictNamespaces"):
        if service.get(name) != "yes":
            found.append(f"{name} is not yes")
    settings = dict(word.split("=", 1) for word in service.get("Environment", "").split())
    for name, start, folder in (("SIGSCI_RPC_ADDRESS", "unix:/run/{}/", "RuntimeDirectory"),
                                ("SIGSCI_SHARED_CACHE_DIR", "/var/lib/{}", "StateDirectory")):
        if not settings.get(name, "").startswith(start.format(service.get(folder))):
            found.append(f"{name} is not in the unit's own folder")
    return found + checks.options({**KEYS, **settings}, {})


class Units(unittest.TestCase):
    """systemd."""

    TEXT = (DEPLOY / "systemd/portcullis-agent.service").read_text()

    def test_the_unit_is_sound(self):
        self.assertEqual(unit_complaints(self.TEXT), [])

    def test_notices_a_broken_unit(self):
        for old, new in [("ExecStart=/usr/sbin/portcullis-agent", "ExecStart=/usr/sbin/agent"),
                         ("TimeoutStopSec=35", "TimeoutStopSec=10"), ("NoNewPrivileges=yes", "NoNewPrivileges=no"),
                         ("RuntimeDirectory=sigsci", "RuntimeDirectory=other"),
                         ("StateDirectory=sigsci", "StateDirectory=other"), ("-HUP", "-USR1"),
                         ("unix:/run/sigsci/sigsci.sock", "unix:")]:
            self.assertIn(old, self.TEXT)
            self.assertNotEqual(unit_complaints(self.TEXT.replace(old, new, 1)), [], new)


class Compose(unittest.TestCase):
    """docker compose."""

    def complaints(self, compose):
        """What is wrong: names that lead nowhere, options that the agent does not take."""
        agent, named = compose["services"]["agent"], {*compose["volumes"]}
        found = []
        for name, service in compose["services"].items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if not source.startswith(".") and source not in named:
                    found.append(f"{name}: no volume {source}")
                if source.startswith(".") and not (DEPLOY / "compose" / source).is_dir():
                    found.append(f"{name}: no folder {source}")
            found += [f"{name}: no secret {secret}" for secret in service.get("secrets", [])
                      if secret not in compose["secrets"]]
        mounts = ["/run/secrets", *(volume.split(":")[1] for volume in agent["volumes"])]
        return found + checks.options(dict(agent["environment"]), mounts)

    def test_names_lead_somewhere_and_options_are_options(self):
        self.assertEqual(self.complaints(documents("compose/compose.yaml")[0]), [])

    def test_notices_a_broken_file(self):
        for breaking in [lambda doc: doc["volumes"].clear(), lambda doc: doc["secrets"].clear(),
                         lambda doc: doc["services"]["agent"]["environment"].update(SIGSCI_NOPE="1"),
                         lambda doc: doc["services"]["envoy"]["volumes"].append("../nowhere:/x:ro")]:
            doc = documents("compose/compose.yaml")[0]
            breaking(doc)
            self.assertNotEqual(self.complaints(doc), [])


class Nginx(unittest.TestCase):
    """`nginx -t` of what is shipped. (Options of the module are checked by starting nginx: nginx/tests.)"""

    def complaints(self, text):
        """What nginx says of a configuration."""
        root = path("PORTCULLIS_NGINX")
        with tempfile.TemporaryDirectory() as folder:
            load = "".join(f"load_module {root / nginx.MODULES}/{name}.so;\n"
                           for name in ("ndk_http_module", "ngx_http_lua_module"))
            text = text.replace("/usr/share/portcullis/lua", f"{ROOT}/nginx/lua")
            text = text.replace("?.lua;;", f"?.lua;{root}/{nginx.RESTY}/?.lua;;").replace("/tmp/", f"{folder}/")
            file = pathlib.Path(folder) / "nginx.conf"
            file.write_text(load + text)
            passes, said = nginx.check(file)
        return [] if passes else [said]

    def pod(self):
        """The pod's configuration."""
        return (DEPLOY / "module/base/nginx.conf").read_text()

    def shipped(self):
        """The files for a machine, in a minimal frame."""
        parts = [(ROOT / "nginx" / name).read_text() for name in ("portcullis.conf", "metrics.conf")]
        temporary = "".join(f"{name}_temp_path /tmp/{name};" for name in nginx.TEMPORARY)
        return "pid /tmp/pid; error_log stderr; events {} http { access_log off; %s %s }" % (temporary, "\n".join(parts))

    def test_configurations_are_sound(self):
        for text in (self.pod(), self.shipped()):
            self.assertEqual(self.complaints(text), [])

    def test_notices_a_broken_configuration(self):
        for old, new in [("rewrite_by_lua_block", "rewrite_by_lua_blok"), ("worker_processes 2", "worker_processes two"),
                         ("lua_shared_dict portcullis 1m", "lua_shared_dict portcullis"), ("listen 8080", "listen :x")]:
            self.assertIn(old, self.pod())
            self.assertNotEqual(self.complaints(self.pod().replace(old, new, 1)), [], new)


class Shell(unittest.TestCase):
    """Every piece of shell, in files and in manifests."""

    def complaints(self, text, shell):
        """What shellcheck says."""
        done = subprocess.run([path("PORTCULLIS_SHELLCHECK"), "--shell", shell, "-"], input=text, text=True, check=False,
                              env=nginx.environment() | {"HOME": "/tmp"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return [] if done.returncode == 0 else [done.stdout]

    def scripts(self):
        """(where, shell, text) of each."""
        tracked = [ROOT / ".ci/run", *DEPLOY.rglob("*.sh"), *(ROOT / "nginx").rglob("*.sh")]
        for file in tracked:
            yield str(file), "bash", file.read_text()
        for folder in folders():
            for _, spec in checks.pod_specs(objects(folder)):
                for container in checks.every_container(spec):
                    command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
                    if len(command) == 3 and command[1] == "-c":
                        yield f"{folder}: {container['name']}", command[0], command[2]
        for file in (ROOT / "deploy/tests/rehearsal/container.py", ROOT / "agent/tests/pod.rs"):
            text = file.read_text()
            found = re.search(r'(?:r"""|r#")\n(set -e\n.*?)(?:"""|"#)', text, re.DOTALL)
            yield str(file), "sh", found[1]

    def test_shellcheck_has_nothing_to_say(self):
        scripts = list(self.scripts())
        self.assertGreater(len(scripts), 4)
        for where, shell, text in scripts:
            with self.subTest(where):
                self.assertEqual(self.complaints(text, shell), [])

    def test_notices_broken_shell(self):
        self.assertNotEqual(self.complaints("if true; then echo $x", "sh"), [])
