"""The walk through the index that `make demo` shows."""

import os
import subprocess
import unittest

from tests.lib.index import binary, clean_environment

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo.sh")


class TestDemo(unittest.TestCase):
    def run_demo(self, signpostd):
        return subprocess.run(["sh", SCRIPT], env=clean_environment(SIGNPOSTD=signpostd),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)

    def test_demo_tells_its_story_to_the_end(self):
        done = self.run_demo(binary())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("$ curl http://127.0.0.1:", done.stdout)
        self.assertIn('"gone"', done.stdout)
        self.assertTrue(done.stdout.endswith("That is all there is to it.\n"), done.stdout)

    def test_demo_without_an_index_fails(self):
        done = self.run_demo("/bin/false")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("the index did not start", done.stderr)
