"""Agents: the real one, and one that answers by script."""

import os
import pathlib
import signal
import socket
import threading

import msgpack

from .parts import BLOCK, KEYS, path
from .process import Process


class Agent(Process):
    """The real agent on a socket in `folder`."""

    def __init__(self, folder, policy=BLOCK, **options):
        folder = pathlib.Path(folder)
        self.socket = folder / "agent.sock"
        self.policy = folder / "policy.json"
        self.policy.write_text(policy)
        given = {"SIGSCI_" + name.upper(): value for name, value in options.items()}
        super().__init__([path("PORTCULLIS_AGENT")], env={
            **KEYS, "SIGSCI_RPC_ADDRESS": f"unix:{self.socket}", "SIGSCI_POLICY_FILE": str(self.policy),
            "SIGSCI_SHARED_CACHE_DIR": str(folder / "cache"), "SIGSCI_LOG_LEVEL": "debug", **given})
        self.wait_for("listening address=")

    def reload(self, policy):
        """Changes the policy and waits until it is in force."""
        said = len(self.lines)
        self.policy.write_text(policy)
        self.signal(signal.SIGHUP)
        # The agent sees by itself that a file has changed: the reload that counts is the one after the signal.
        self.wait_for("SIGHUP: reloading", after=said)
        heard = next(at for at in range(said, len(self.lines)) if "SIGHUP: reloading" in self.lines[at])
        self.wait_for("reloaded", after=heard)


class ScriptedAgent:
    """Takes calls one a connection, keeps them, and answers what `reply(call)` gives: bytes; None to close without a
    word; `SILENCE` to say nothing until the peer leaves."""

    def __init__(self, address, reply):
        self.calls, self.raw, self.reply = [], [], reply
        self.arrived = threading.Condition()
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(address):
            os.unlink(address)
        self.listener.bind(str(address))
        os.chmod(address, 0o666)
        self.listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer:
            raw = b""
            while True:
                piece = peer.recv(65536)
                if not piece:
                    return
                raw += piece
                try:
                    call = msgpack.unpackb(raw, raw=True, strict_map_key=False)
                    break
                except ValueError:
                    continue
            with self.arrived:
                self.calls.append(call)
                self.raw.append(raw)
                self.arrived.notify_all()
            reply = self.reply(call)
            if reply is SILENCE:
                peer.recv(1)
            elif reply is not None:
                try:
                    peer.sendall(reply)
                    peer.shutdown(socket.SHUT_WR)
                    peer.recv(1)
                except OSError:
                    pass

    def wait_for(self, method, patience=10):
        """Waits for a call of `method`, and returns its message."""
        with self.arrived:
            found = lambda: [call[3][0] for call in self.calls if call[2] == method.encode()]
            assert self.arrived.wait_for(found, patience), f"no {method}, but {[call[2] for call in self.calls]}"
            return found()[0]

    def methods(self):
        """What was called."""
        return [call[2].decode() for call in self.calls]

    def close(self):
        """Listens no longer."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def result(call, value):
    """A reply to `call`, the integer 0 to reports."""
    if call[2] != b"RPC.PreRequest":
        value = 0
    return msgpack.packb([1, call[1], None, value])


def allow(call):
    """Lets a request pass, and wants to hear no more of it."""
    return result(call, {"WAFResponse": 200, "RequestID": "", "RequestHeaders": []})


SILENCE = object()
