"""Ten masters that know nothing but an index have one connection for each two of them, at once, and
nothing of what they say to each other passes the index. test_mesh_*.py has what then befalls them.

Needs root."""

import unittest

from tests.lib.masters import MasterCase, figure


class TestMesh(MasterCase):
    nodes = tuple("abcdefghij")

    def test_ten_masters_have_all_links(self):
        self.starts(*self.nodes)
        took = self.waits_for_all_links()
        figure(f"a full mesh of {len(self.nodes)} after {took:.2f} s")
        self.assertOneConnectionEach()
        self.assertEqual(len(self.counts()), 90)
        marks = self.marks()
        self.assertCounting()
        self.assertUntouched(marks)


if __name__ == "__main__":
    unittest.main()
