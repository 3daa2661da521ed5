"""`python3 deploy/tests [NAME...]`: every test of the manifests, or those with one of these words in their name."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rehearsal.parts import bring_loopback_up  # noqa: E402

bring_loopback_up()
loader = unittest.TestLoader()
loader.testNamePatterns = [f"*{word}*" for word in sys.argv[1:]] or None
tests = loader.discover(str(pathlib.Path(__file__).parent))
sys.exit(0 if unittest.TextTestRunner(verbosity=2).run(tests).wasSuccessful() else 1)
