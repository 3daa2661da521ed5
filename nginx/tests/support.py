"""A folder, an application, an agent and nginx for each test."""

import pathlib
import tempfile
import time
import unittest

from rehearsal.agents import Agent, ScriptedAgent
from rehearsal.application import Application
from rehearsal.client import ask
from rehearsal.nginx import SERVER, Nginx
from rehearsal.parts import PATIENCE


class Case(unittest.TestCase):
    """Starts parts, and stops them at the end."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # nginx's workers run as another user than this test.
        self.folder.chmod(0o755)
        self.app = Application()
        self.addCleanup(self.app.close)

    def real_agent(self, policy=None, **options):
        """The real agent."""
        agent = Agent(self.folder, **({"policy": policy} if policy else {}), **options)
        self.addCleanup(agent.stop)
        return agent

    def scripted_agent(self, reply):
        """An agent that answers by script."""
        agent = ScriptedAgent(self.folder / "agent.sock", reply)
        self.addCleanup(agent.close)
        return agent

    def nginx(self, **options):
        """nginx before the application."""
        options.setdefault("server", SERVER % self.app.port)
        nginx = Nginx(self.folder, self.folder / "agent.sock", **options)
        self.addCleanup(nginx.stop)
        return nginx

    def counters(self, nginx):
        """What the module has counted."""
        text = ask(nginx.metrics_port, "/portcullis/metrics").body.decode()
        return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines())}

    def await_counter(self, nginx, name, value):
        """Reports are sent after the response: waits until they are counted."""
        end = time.monotonic() + PATIENCE
        while self.counters(nginx).get(name) != value:
            self.assertLess(time.monotonic(), end, f"{name} is not {value}: {self.counters(nginx)}")
