"""What the tests of the documents share."""

import unittest


class DocsCase(unittest.TestCase):
    def assertNone(self, faults):
        """`faults` is a list of sentences; all of them are shown, a line each."""
        if faults:
            self.fail("\n" + "\n".join(faults))
