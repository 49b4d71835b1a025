"""Masters that are killed, that move to another address, and that lose sight of each other: the
others notice, and all links are there again as soon as they can be.

Needs root."""

import os
import tempfile
import unittest

from tests.cli.case import Running
from tests.lib.index import Stopwatch, clean_environment
from tests.lib.masters import TTL_S, MasterCase, figure


class TestNodes(MasterCase):
    nodes = (*"abcdefghij", "watch")

    def setUp(self):
        super().setUp()
        self.ten = self.nodes[:10]
        self.starts(*self.ten)
        self.waits_for_all_links()

    def watches(self):
        """`signpost watch`, which has told of the ten."""
        folder = tempfile.TemporaryDirectory(prefix="signpost-test-")
        self.addCleanup(folder.cleanup)
        env = clean_environment(SIGNPOST_INDEX=self.url, HOME=folder.name,
                                XDG_STATE_HOME=os.path.join(folder.name, "state"))
        watch = Running(self, "watch", env=env, wrapper=self.lab.within("watch"))
        self.assertEqual({watch.json()["id"] for _ in self.ten}, set(self.ten))
        return watch

    def assertTold(self, watch, event, name):
        peer = watch.json()
        while peer["event"] == "changed":
            peer = watch.json()
        self.assertEqual((peer["event"], peer["id"]), (event, name))

    def test_killed_master_is_gone_and_comes_back(self):
        watch = self.watches()
        marks = self.marks()
        victim = self.ten[3]
        clock = Stopwatch()
        self.kills(victim)
        noticed = self.waits_for_all_links()
        self.assertTold(watch, "down", victim)
        figure(f"a killed master was missed by all after {noticed:.2f} s, and out of the table "
               f"after {clock.elapsed():.2f} s, of a lease of {TTL_S} s")

        self.starts(victim)
        self.assertTold(watch, "up", victim)
        took = self.waits_for_all_links()
        figure(f"it had all its links again {took:.2f} s after it was in the table")
        self.assertOneConnectionEach()
        self.assertCounting()
        del marks[next(master for master in marks if master.id == victim)]
        self.assertUntouched(marks, but={(name, victim) for name in self.ten})

    def test_master_whose_address_changes_has_its_links_again(self):
        mover = self.ten[4]
        others = [name for name in self.ten if name != mover]
        # A knock soon after a call that went well is taken for one that crossed it.
        self.assertCounting(lines=6)
        marks = self.marks()
        old = self.lab.addresses[mover]
        new = self.lab.change_address(mover)
        links = self.masters[mover].links

        def moved():
            return not self.missing() and all(
                self.masters[name].links[mover].remote.startswith(new + ":") for name in others)

        took = self.waits(f"links of {mover} from {old} to {new}", moved,
                          lambda: f"Missing: {self.missing()}; it has {links}")
        figure(f"all links to a new address after {took:.2f} s")
        self.assertOneConnectionEach()
        self.assertCounting()
        self.assertUntouched(marks, but={(name, mover) for name in others} |
                             {(mover, name) for name in others})

    def test_links_that_are_cut_are_noticed_and_heal(self):
        marks = self.marks()
        cut = self.pairs()[::2]
        self.lab.cut(*cut)
        both = {*cut, *((other, one) for one, other in cut)}

        def seen():
            return [(one, other) for one, other in both if other in self.masters[one].links]

        noticed = self.waits("the cut is noticed", lambda: not seen(), lambda: f"Not by {seen()}")
        self.assertCounting()
        self.lab.heal()
        took = self.waits_for_all_links()
        figure(f"{len(cut)} of {len(self.pairs())} links were cut: noticed after {noticed:.1f} s; "
               f"whole {took:.1f} s after the cut was removed")
        self.assertOneConnectionEach()
        self.assertCounting()
        self.assertUntouched(marks, but=both)


if __name__ == "__main__":
    unittest.main()
