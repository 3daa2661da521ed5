"""A network for each pod, and ways into it."""

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import sys
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NET = 0x40000000
_NUMBERS = itertools.count(2)

#: Holds the network until its input ends: it has a loopback, and an address that is not 127.0.0.1.
_HOLDER = """
import socket, subprocess, sys
from rehearsal.parts import bring_loopback_up
bring_loopback_up()
subprocess.run(["ip", "address", "add", sys.argv[1] + "/32", "dev", "lo"], check=True)
print("up", flush=True)
sys.stdin.read()
"""


class Network:
    """The network of one pod, at `address`."""

    def __init__(self):
        number = next(_NUMBERS)
        self.address = f"10.88.{number // 250}.{number % 250 + 1}"
        self.holder = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", _HOLDER, self.address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        if self.holder.stdout.readline() != "up\n":
            raise RuntimeError("cannot make a network for a pod (Debian: apt-get install iproute2)")
        self.path = f"/proc/{self.holder.pid}/ns/net"

    def connect(self, port, host=None, timeout=10):
        """A connection made from within."""
        result = []

        def inside():
            handle = os.open(self.path, os.O_RDONLY)
            try:
                if _LIBC.setns(handle, _NEW_NET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                result.append(socket.create_connection((host or self.address, port), timeout))
            except OSError as error:
                result.append(error)
            finally:
                os.close(handle)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if isinstance(result[0], OSError):
            raise result[0]
        return result[0]

    def close(self):
        """Lets it go, when nobody is left in it."""
        with contextlib.suppress(OSError):
            self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()
