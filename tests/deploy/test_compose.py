"""compose.yaml: the masters find each other and connect, and a node gets a TURN credential that the
TURN server takes."""

import json
import os
import re
import signal
import subprocess
import time
import unittest

from tests.lib.compose import START_S, Project
from tests.lib.lab import Lab

SERVICES = ("secrets", "index", "turn", "master-a", "master-b")


class TestCompose(unittest.TestCase):
    def setUp(self):
        self.lab = Lab(*SERVICES)
        self.addCleanup(self.lab.remove)
        self.lab.build()
        self.project = Project(self, self.lab)
        self.services = self.project.services

    def wait_for(self, name, pattern):
        service = self.services[name]
        end = time.monotonic() + START_S
        while not (found := re.search(pattern, service.log())):
            self.assertIsNone(service.process.poll(), f"{name} ended: {service.log()}")
            self.assertLess(time.monotonic(), end, f"{name}, no {pattern}: {service.log()}")
            time.sleep(0.05)
        return found

    def ask(self, *words):
        """With curl, from where master-a is."""
        done = subprocess.run(
            [*self.lab.within("master-a"), "curl", "-sS", "--max-time", "20", *words],
            capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_masters_connect_and_a_node_gets_turn(self):
        self.project.up()
        for one, other in (("master-a", "master-b"), ("master-b", "master-a")):
            link = self.wait_for(one, rf"link {other} (\S+) (\S+) in")
            self.assertIn(self.lab.addresses[other], link[2])
        self.assert_turn()
        for name in ("master-a", "master-b", "index"):
            process = self.services[name].process
            process.send_signal(signal.SIGTERM)
            self.assertEqual(self.services[name].wait(), 0, self.services[name].log())

    def assert_turn(self):
        with open(os.path.join(self.project.folder("secrets"), "master.key"),
                  encoding="ascii") as file:
            key = file.read().strip()
        url = "http://index:7117"
        made = self.ask(url + "/register", "-H", "Authorization: Bearer " + key, "--json",
                        '{"id": "node"}')
        ice = self.ask(url + "/ice", "-H", "Authorization: Bearer " + made["token"])
        turn = next(server for server in ice["iceServers"] if "credential" in server)
        address = self.lab.addresses["turn"]
        self.assertEqual(turn["urls"], [f"turn:{address}:3478?transport=udp",
                                        f"turn:{address}:3478?transport=tcp"])
        end = time.monotonic() + START_S
        while not self.relays(address, turn["username"], turn["credential"]):
            self.assertLess(time.monotonic(), end, self.said)
        self.assertFalse(self.relays(address, turn["username"], "wrong"))

    def relays(self, server, username, credential):
        """Whether two clients of the TURN server hear each other, two messages each way."""
        done = subprocess.run(
            [*self.lab.within("master-b"), "timeout", "20", "turnutils_uclient", "-y", "-c",
             "-n", "2", "-m", "1", "-u", username, "-w", credential, server],
            capture_output=True, text=True, timeout=30, check=False)
        self.said = done.stdout + done.stderr
        return "tot_recv_msgs=4" in self.said


if __name__ == "__main__":
    unittest.main()
