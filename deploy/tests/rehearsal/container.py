"""A container as a process: a root of its own, its user, its volumes, its probes."""

import http.client
import os
import pathlib
import subprocess
import time

from .process import Process

#: Makes a root and becomes the program in it. Arguments: root, image to copy or "", "ro" or "rw", uid:gid, number of
#: folders to bind and these, number of mounts and these (source, target, mode), the folders once more, the command.
ENTER = r"""
set -e
root=$1 image=$2 mode=$3 user=$4; shift 4
mount --make-rprivate /
mount -t tmpfs -o mode=755 none "$root"
if [ -n "$image" ]; then cp -a "$image/." "$root/"; fi
mkdir -p "$root/dev" "$root/proc" "$root/etc"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
binds=$1; shift
while [ "$binds" -gt 0 ]; do
    mkdir -p "$root$1"; mount --rbind "$1" "$root$1"; shift; binds=$((binds - 1))
done
mounts=$1; shift
while [ "$mounts" -gt 0 ]; do
    if [ -f "$1" ]; then mkdir -p "$(dirname "$root$2")"; [ -e "$root$2" ] || : > "$root$2"; else mkdir -p "$root$2"; fi
    mount --bind "$1" "$root$2"
    if [ "$3" = ro ]; then mount -o remount,bind,ro "$root$2"; fi
    shift 3; mounts=$((mounts - 1))
done
# Those that a mount hides, as one of /tmp does to a checkout below it.
binds=$1; shift
while [ "$binds" -gt 0 ]; do
    [ -e "$root$1" ] || { mkdir -p "$root$1"; mount --rbind "$1" "$root$1"; }; shift; binds=$((binds - 1))
done
if [ "$mode" = ro ]; then mount -o remount,ro "$root"; fi
exec setpriv --no-new-privs chroot --userspec="$user" "$root" "$@"
"""


class Container:
    """One container of a pod."""

    def __init__(self, spec, image, network, folder, mounts, environment):
        self.spec, self.image, self.network = spec, image, network
        self.name = spec["name"]
        context = spec.get("securityContext", {})
        uid, gid = image.user()
        self.uid, self.gid = context.get("runAsUser", uid), context.get("runAsGroup", gid)
        if context.get("runAsNonRoot") and self.uid == 0:
            raise AssertionError(f"{self.name}: runAsNonRoot, and the user is root")
        self.environment = {**image.environment(), **environment}
        root = pathlib.Path(folder) / f"root-{self.name}"
        root.mkdir()
        words = [root, image.copy or "", "ro" if context.get("readOnlyRootFilesystem") else "rw", f"{self.uid}:{self.gid}",
                 len(image.binds), *image.binds, len(mounts), *[word for mount in mounts for word in mount],
                 len(image.binds), *image.binds]
        command = ["nsenter", f"--net={network.path}", "unshare", "--mount", "sh", "-c", ENTER, "container", *words,
                   *image.command(spec)]
        reading, writing = os.pipe()
        # A runtime gives the container's user its own output.
        os.fchown(writing, self.uid, self.gid)
        self.process = Process(command, output=(reading, writing), env=self.environment)

    def run(self, command, timeout):
        """Runs a command in the container, as its user."""
        pid = self.process.child.pid
        enter = ["nsenter", "--target", str(pid), "--mount", "--net", f"--root=/proc/{pid}/root", "--wd=/",
                 "-S", str(self.uid), "-G", str(self.gid)]
        words = self.image.replaced(command) if hasattr(self.image, "replaced") else command
        return subprocess.run([*enter, *words], env=self.environment, timeout=timeout, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def probe(self, probe):
        """Whether a probe succeeds, as the kubelet judges it."""
        timeout = probe.get("timeoutSeconds", 1)
        try:
            if "exec" in probe:
                return self.run(probe["exec"]["command"], timeout).returncode == 0
            if "tcpSocket" in probe:
                self.network.connect(probe["tcpSocket"]["port"], timeout=timeout).close()
                return True
            return 200 <= self.http_status(probe["httpGet"], timeout) < 400
        except (OSError, http.client.HTTPException, subprocess.TimeoutExpired):
            return False

    def http_status(self, get, timeout):
        """The status of a GET from outside of the pod."""
        with self.network.connect(get["port"], timeout=timeout) as connection:
            client = http.client.HTTPConnection(self.network.address)
            client.sock = connection
            client.request("GET", get["path"])
            return client.getresponse().status

    def await_probe(self, kind, default_failures=3):
        """Waits until a probe succeeds, no longer than it may take; a container without it needs none."""
        probe = self.spec.get(kind)
        if probe is None:
            return
        longest = probe.get("periodSeconds", 10) * probe.get("failureThreshold", default_failures)
        end = time.monotonic() + min(longest, 30)
        while not self.probe(probe):
            if self.process.child.poll() is not None:
                raise AssertionError(f"{self.name} has ended:\n{self.process.log()}")
            if time.monotonic() > end:
                raise AssertionError(f"{self.name}: {kind} does not succeed:\n{self.process.log()}")
            time.sleep(0.05)

    def pre_stop(self, left):
        """What is done before SIGTERM."""
        hook = self.spec.get("lifecycle", {}).get("preStop")
        if hook is None:
            return
        if "sleep" in hook:
            time.sleep(min(hook["sleep"]["seconds"], left))
        elif "exec" in hook:
            done = self.run(hook["exec"]["command"], left)
            if done.returncode != 0:
                raise AssertionError(f"{self.name}: preStop fails with {done.returncode}: {done.stdout.decode()}")
        else:
            raise AssertionError(f"{self.name}: preStop of a kind that cannot be rehearsed: {hook}")
