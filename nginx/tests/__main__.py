"""`python3 nginx/tests`: every test of the module."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "deploy/tests")]

from rehearsal.parts import bring_loopback_up  # noqa: E402

bring_loopback_up()
tests = unittest.defaultTestLoader.discover(str(HERE))
sys.exit(0 if unittest.TextTestRunner(verbosity=2).run(tests).wasSuccessful() else 1)
