"""The real nginx with lua-nginx-module and the shipped configuration."""

import os
import pathlib
import signal
import subprocess

from .parts import ROOT, free_port, path
from .process import Process

#: Where Debian's packages are unpacked; the folder `/` where they are installed.
MODULES = "usr/lib/nginx/modules"
RESTY = "usr/share/lua/5.1"

MAIN = """
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    {temporary}
    log_format verdict '$status verdict="$http_x_sigsci_agentresponse" $request_uri';
    access_log /dev/stdout verdict;
    client_max_body_size 16m;
    {portcullis}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{port2} http2;
        {server}
    }}
    {more}
}}
"""

SERVER = "location / { proxy_pass http://127.0.0.1:%d; proxy_http_version 1.1; }"


class Nginx(Process):
    """nginx before an application, asking the agent at `agent`."""

    def __init__(self, folder, agent, app_port=None, server=None, more="", change=(), conf=None):
        self.folder = pathlib.Path(folder)
        self.port, self.port2, self.metrics_port = free_port(), free_port(), free_port()
        self.write(agent, server if server is not None else SERVER % app_port, more, change, conf)
        super().__init__(self.command_line(), env=environment())
        self.wait_for("start worker process ")

    def write(self, agent, server, more, change, conf):
        """Writes the configuration: the shipped files, with addresses moved."""
        root = path("PORTCULLIS_NGINX")
        shipped = conf if conf is not None else (ROOT / "nginx/portcullis.conf").read_text()
        moved = [("/usr/share/portcullis/lua/?.lua;;", f"{ROOT}/nginx/lua/?.lua;{root}/{RESTY}/?.lua;;"),
                 ("unix:/var/run/sigsci.sock", f"unix:{agent}")] if conf is None else []
        for old, new in [*moved, *change]:
            assert old in shipped, f"{old!r} is not in the shipped configuration"
            shipped = shipped.replace(old, new)
        metrics = (ROOT / "nginx/metrics.conf").read_text().replace("9145", str(self.metrics_port))
        temporary = " ".join(f"{name}_temp_path {self.folder}/{name};" for name in TEMPORARY)
        (self.folder / "nginx.conf").write_text(MAIN.format(
            modules=root / MODULES, folder=self.folder, temporary=temporary, portcullis=shipped, port=self.port,
            port2=self.port2, server=server, more=more + ("" if conf is not None else metrics)))

    def command_line(self):
        """The command that runs it."""
        return [binary(), "-p", self.folder, "-c", self.folder / "nginx.conf"]

    def reload(self):
        """Loads the configuration again, and waits for new workers."""
        said = len(self.lines)
        self.signal(signal.SIGHUP)
        self.wait_for("start worker process ", after=said)


def binary():
    """nginx itself."""
    return path("PORTCULLIS_NGINX") / "usr/sbin/nginx"


def environment():
    """Libraries stand beside it where the packages are only unpacked."""
    root = path("PORTCULLIS_NGINX")
    if root == pathlib.Path("/"):
        return {"PATH": os.environ["PATH"]}
    folders = [str(folder) for folder in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu"))]
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": ":".join(folders)}


def check(configuration):
    """`nginx -t` of a file: (whether it passes, what it says)."""
    done = subprocess.run([binary(), "-t", "-c", configuration], env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode == 0, done.stdout


TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
