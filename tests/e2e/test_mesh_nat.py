"""Masters behind routers that let nobody in: they dial where they are asked to, and find each other
on a network that they share.

Needs root."""

import unittest

from tests.lib.lab import Home
from tests.lib.masters import MasterCase, figure

OUTSIDE = ("a", "z")  # of which one has a lower id than each inside, and one a higher


class TestNat(MasterCase):
    nodes = OUTSIDE
    homes = (Home("quiet", ("m", "n")), Home("loud", ("o",), refusal="reject"))

    def path(self, one, other):
        return self.masters[one].links[other].path

    def meets(self, *inside):
        """Those and the ones outside; all have links, which work."""
        self.starts(*OUTSIDE, *inside)
        took = self.waits_for_all_links()
        figure(f"all links of {', '.join(self.masters)} after {took:.2f} s")
        self.assertCounting()
        self.assertIn(self.path("a", "z"), ("direct",))

    def assertReversed(self, name, router):
        """From outside it is the router, and where it was asked for it was reached by reversal."""
        for one in OUTSIDE:
            remote = self.masters[one].links[name].remote
            self.assertTrue(remote.startswith(self.lab.addresses[router] + ":"), remote)
        paths = [self.path(one, name) for one in OUTSIDE]
        figure(f"paths to {name} from {' and '.join(OUTSIDE)}: {' and '.join(paths)}")
        self.assertIn("reversed", paths)

    def test_master_whose_router_drops_is_reached_by_reversal(self):
        self.meets("m")
        self.assertReversed("m", "quiet")

    def test_master_whose_router_rejects_is_reached_by_reversal(self):
        self.meets("o")
        self.assertReversed("o", "loud")

    def test_masters_whose_routers_let_nobody_in_hear_why(self):
        self.starts(*OUTSIDE, "m", "o")

        def heard():
            return any(line.startswith(f"trouble {other}: ") for one, other in ("mo", "om")
                       for line in self.masters[one].lines)

        took = self.waits("m and o hear of it", heard)
        figure(f"that there is no path is told after {took:.1f} s")
        self.waits("all other links", lambda: self.missing() == [("m", "o")])
        self.assertCounting()

    def test_masters_on_one_network_use_it(self):
        self.meets("m", "n")
        self.assertReversed("m", "quiet")
        for one, other in (("m", "n"), ("n", "m")):
            remote = self.masters[one].links[other].remote
            self.assertTrue(remote.startswith(self.lab.addresses[other] + ":"), remote)
            self.assertEqual(self.path(one, other), "lan")


if __name__ == "__main__":
    unittest.main()
