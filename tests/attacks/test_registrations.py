"""Nodes that are made by the hundred thousand, and nodes and networks that come and go."""

import itertools

from tests.lib.attack import AttackCase, request, stranger

MANY = 100_000
OF_ONE_ADDRESS = 256  # nodes
NETWORKS_OF_ONE_ADDRESS = 1024


def registration(number, **members):
    return request("POST", "/register", {"id": f"n{number}", "ttl": 7200, **members})


class TestRegistrations(AttackCase):
    def test_registrations_of_one_address_are_limited(self):
        with self.attack("registrations of one address") as attack:
            attack.flood((registration(number) for number in range(MANY)), [stranger(0)] * 10)
            attack.what = f"{MANY} registrations, {attack.seen[201]} taken"
            self.assertEqual(set(attack.seen), {201, 429})
            self.assertLessEqual(attack.seen[201], OF_ONE_ADDRESS)

    def test_registrations_of_one_address_without_a_rate_meet_the_cap(self):
        with self.attack("the same without --rate", "--rate", "0") as attack:
            attack.flood((registration(number) for number in range(MANY)), [stranger(0)] * 10)
            attack.what = f"{MANY} registrations, {attack.seen[201]} taken"
            self.assertEqual(attack.seen, {201: OF_ONE_ADDRESS, 429: MANY - OF_ONE_ADDRESS})

    def test_registrations_of_many_addresses_fill_the_index_and_no_more(self):
        """In four networks, since one may have half of all nodes."""
        addresses, too_many = 420, 2_000
        with self.attack("registrations of many addresses", "--rate", "0") as attack:
            attack.flood((registration(number, network=f"net-{number % 4}")
                          for number in range(MANY + too_many)),
                         [stranger(number) for number in range(addresses)])
            attack.what = f"{MANY + too_many} registrations, {attack.told()}"
            self.assertEqual(attack.seen[201] + 1, MANY)  # and the honest one
            self.assertEqual(set(attack.seen), {201, 503})

    def visits(self, count, network):
        """Each node registers and leaves, behind each other on one connection."""
        for number in range(count):
            token = f"v{number:042}"
            yield registration(number, network=network(number), token=token)
            yield request("DELETE", f"/nodes/n{number}?network={network(number)}", token=token)

    def test_nodes_that_come_and_go_leave_few_tombstones(self):
        """Each leaves one, and they are the history that a watcher is told."""
        count = 20_000
        with self.attack("nodes that come and go", "--rate", "0") as attack:
            cursor = self.list(network="visited")["cursor"]
            attack.flood(self.visits(count, lambda _: "visited"),
                         [stranger(number) for number in range(50)])
            attack.what = f"{count} nodes, {attack.told()}"
            self.assertEqual(attack.seen, {201: count, 204: count})
            # The oldest are forgotten: who has been away for so long starts anew.
            self.assertTrue(self.list(network="visited", since=cursor)["reset"])
            self.assertNodes(self.list(network="visited"), [])

    def test_networks_that_come_and_go_are_limited(self):
        """One that is empty is remembered for an hour, with who has left it."""
        count, addresses = 22_000, 20
        with self.attack("networks that come and go", "--rate", "0") as attack:
            attack.flood(self.visits(count, lambda number: f"net-{number}"),
                         [stranger(number) for number in range(addresses)])
            attack.what = f"{count} networks, {attack.told()}"
            self.assertLessEqual(attack.seen[201], NETWORKS_OF_ONE_ADDRESS * addresses)
            self.assertGreater(attack.seen[429], 0)
            self.assertEqual(set(attack.seen), {201, 204, 404, 429})

    def test_lists_of_a_full_network_are_read_page_by_page(self):
        """Filters that match nothing, over a network of many nodes: a bounded look for each."""
        nodes = 20_000
        with self.attack("filters over a large network", "--rate", "0") as attack:
            attack.flood((registration(number, meta={"role": f"r{number}"})
                          for number in range(nodes)),
                         [stranger(number) for number in range(nodes // 250)])
            attack.seen.clear()
            attack.flood(itertools.repeat(request("GET", "/list?meta.role=none&limit=1000"), 2_000),
                         [stranger(number) for number in range(50)], per_write=4)
            attack.what = f"2000 lists, {attack.told()}"
            self.assertLessEqual(set(attack.seen), {200, 503})
