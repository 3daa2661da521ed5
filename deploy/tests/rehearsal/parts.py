"""The programs under test. `cargo xtask test deploy` and `nginx` find or build them and say where they are."""

import fcntl
import os
import pathlib
import socket
import struct

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"

#: Longer than anything takes that works.
PATIENCE = 20.0

KEYS = {"SIGSCI_ACCESSKEYID": "key-id", "SIGSCI_SECRETACCESSKEY": "key-secret", "SIGSCI_CONFIG": "/dev/null"}

ATTACK = "/?id=1%27%20OR%20%271%27=%271"
BLOCK = '{"site": {"agentLevel": "block", "immediateBlock": true}}'


def path(name):
    """The file or folder that a variable names; a missing one is a failure, not a reason to skip."""
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: run `cargo xtask test deploy` or `cargo xtask test nginx`")
    if not os.path.exists(value):
        raise RuntimeError(f"{name}: {value} does not exist")
    return pathlib.Path(value)


def bring_loopback_up():
    """The tests have a network of their own, in which every port is free."""
    up_and_running = struct.pack("16sh", b"lo", 0x41)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, up_and_running)


def free_port():
    """A port that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
