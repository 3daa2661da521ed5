"""Programs that run beside a test."""

import os
import signal
import subprocess
import threading
import time

from .parts import PATIENCE


class Process:
    """A program whose output is kept, and which does not outlive its test."""

    def __init__(self, command, output=None, **options):
        self.command = [str(word) for word in command]
        self.lines = []
        self.heard = threading.Condition()
        reading, writing = output or os.pipe()
        self.child = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, **options)
        os.close(writing)
        self.output = os.fdopen(reading, errors="replace")
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.output:
            with self.heard:
                self.lines.append(line.rstrip("\n"))
                self.heard.notify_all()
        self.output.close()
        with self.heard:
            self.lines.append(ENDED)
            self.heard.notify_all()

    def wait_for(self, text, patience=PATIENCE, after=0):
        """Waits for a line with `text`, and returns it."""
        end = time.monotonic() + patience
        with self.heard:
            while True:
                for line in self.lines[after:]:
                    if text in line:
                        return line
                left = end - time.monotonic()
                if ENDED in self.lines or left <= 0:
                    raise AssertionError(f"{self.command[0]} did not say {text!r}:\n" + self.log())
                self.heard.wait(left)

    def log(self):
        """The last that it said."""
        return "\n".join(line for line in self.lines[-60:] if line is not ENDED)

    def signal(self, number):
        """Sends a signal, unless it has ended."""
        if self.child.poll() is None:
            os.kill(self.child.pid, number)

    def ended(self, patience=PATIENCE):
        """Waits for the end, and returns the status."""
        return self.child.wait(patience)

    def stop(self, patience=PATIENCE):
        """Asks it to end, insists when it does not, and returns the status."""
        self.signal(signal.SIGTERM)
        try:
            return self.ended(patience)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.child.wait()
            raise

    def kill(self):
        """Ends it at once."""
        self.signal(signal.SIGKILL)
        self.child.wait()


ENDED = "\0ended"
