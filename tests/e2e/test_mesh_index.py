"""What becomes of the index is nothing to those who are connected: it carries none of what they say,
it goes, comes back, comes back with an empty disk. Who comes then finds them all.

Needs root."""

import unittest

from tests.lib.masters import MasterCase, figure

QUIET_MS, LOUD_MS = 1000, 10  # between two lines on a link
LINES = 10  # of a quiet link; and so often of a loud one as the periods tell
A_PART = 20


class TestIndex(MasterCase):
    nodes = tuple("abcdefghijk")

    def test_links_outlive_the_index_and_its_disk(self):
        *ten, eleventh = self.nodes
        self.starts(*ten)
        figure(f"a full mesh of 10 after {self.waits_for_all_links():.2f} s")
        self.assertOneConnectionEach()
        marks = self.marks()
        self.index_dies()
        self.assertEqual(len(self.assertCounting(lines=5)), 90)
        self.index_returns()
        self.assertCounting()
        self.assertUntouched(marks)

        self.index_dies()
        self.assertCounting()
        self.index_returns(empty=True)
        self.starts(eleventh)
        took = self.waits_for_all_links()
        figure(f"an eleventh has its 10 links after {took:.2f} s")
        self.assertOneConnectionEach()
        self.assertEqual(len(self.assertCounting()), 110)
        self.assertUntouched(marks)

    def test_what_peers_say_does_not_pass_the_index(self):
        quiet = self.carries(QUIET_MS, LINES)
        loud = self.carries(LOUD_MS, LINES * QUIET_MS // LOUD_MS)
        for lines, came in ((LINES, quiet), (LINES * QUIET_MS // LOUD_MS, loud)):
            figure(f"{lines} lines on each link: {came['peers']:,} bytes between the masters, and "
                   f"in the same time {came['served']:,} at the index")
        more = loud["peers"] - quiet["peers"]
        self.assertGreater(more, 10 * quiet["peers"])
        self.assertLess(abs(loud["served"] - quiet["served"]), more / A_PART)

    def carries(self, period_ms, lines):
        """The bytes that were counted while so many lines went over each link of four masters."""
        names = self.nodes[:4]
        self.starts(*names, period_ms=period_ms)
        self.waits_for_all_links()
        before = self.lab.counted("index")
        self.assertCounting(lines)
        after = self.lab.counted("index")
        self.ends(*names)
        return {name: after[name][1] - before[name][1] for name in ("peers", "served")}


if __name__ == "__main__":
    unittest.main()
