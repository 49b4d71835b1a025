"""Forty masters: all with all, and each with few, so that all are connected however many die.

Needs root."""

import unittest

from tests.lib.masters import MasterCase, figure

MANY = 40
FEW = 5
KILLED = MANY // 4
NAMES = tuple(f"m{number:02}" for number in range(MANY))


class TestCrowd(MasterCase):
    nodes = NAMES

    def test_forty_masters_have_all_links(self):
        self.starts(*NAMES)
        took = self.waits_for_all_links()
        figure(f"a full mesh of {MANY} after {took:.2f} s")
        self.assertOneConnectionEach()
        self.assertEqual(len(self.assertCounting()), MANY * (MANY - 1))


class TestNeighbours(MasterCase):
    nodes = NAMES
    neighbours = FEW

    def waits_for_one_piece(self):
        """Without any link to a master that is no more."""
        def whole():
            return len(self.pieces()) == 1 and all(
                master.links.keys() <= self.masters.keys() for master in self.masters.values())

        return self.waits("one connected graph", whole, lambda: f"Pieces: {self.pieces()}")

    def assertFew(self):
        for master in self.masters.values():
            self.assertLessEqual(master.most, FEW, f"{master.id}: {master.lines}")

    def tells_degrees(self):
        degrees = [len(master.links) for master in self.masters.values()]
        figure(f"{len(degrees)} masters have {sum(degrees) // 2} links: "
               + ", ".join(f"{degrees.count(n)} have {n}" for n in sorted(set(degrees))))

    def test_few_links_each_keep_all_connected(self):
        self.starts(*NAMES)
        took = self.waits_for_one_piece()
        figure(f"one connected graph of {MANY} after {took:.2f} s")
        self.assertFew()
        at_once, longest = 0, 0
        for victim in NAMES[1::4]:
            self.kills(victim)
            with self.news:
                at_once += len(self.pieces()) == 1
            longest = max(longest, self.waits_for_one_piece())
            self.assertFew()
        self.assertEqual(len(self.masters), MANY - KILLED)
        figure(f"{KILLED} were killed: {at_once} times what was left was connected at once, and "
               f"at the latest {longest:.2f} s after")
        self.waits_for_list()
        self.waits_for_one_piece()
        self.assertFew()
        self.tells_degrees()
        self.assertCounting()


if __name__ == "__main__":
    unittest.main()
