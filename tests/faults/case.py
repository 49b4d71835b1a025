"""What the tests of faults share: a world of nodes and messages that were acknowledged, and waiting
for what the index says of itself."""

import time

from tests.lib.case import HttpCase, Node
from tests.lib.http import url

RECOVERY_S = 30  # generous: a look each second, on a machine that others use


def wait_for(condition, what, timeout=RECOVERY_S):
    """What `condition` gives as soon as it is true; asked again and again."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


def figure(fault, result):
    """A row of the table of faults; tests/run shows it also where all passed."""
    print(f"figure: fault {fault} | {result}", flush=True)


class FaultCase(HttpCase):
    """Each test has an index of its own, since it is hurt."""

    def readiness(self):
        return self.client.get("/readyz")

    def waits_for_trouble(self, *words):
        """Until /readyz says 503 with one of these in its sentence; gives that sentence."""
        def told():
            reply = self.readiness()
            if reply.status == 503 and any(word in reply["detail"] for word in words):
                return reply["detail"]
            return None
        return wait_for(told, f"/readyz says {words}")

    def waits_until_ready(self):
        """Until /readyz says 200; gives how long that took."""
        start = time.monotonic()
        wait_for(lambda: self.readiness().status == 200, "/readyz says 200")
        return time.monotonic() - start

    def waits_until_kept(self, node):
        """Until a write of that node is taken again."""
        wait_for(lambda: node.heartbeat(meta={"back": True}).status == 200, "a write is taken")

    def assertRefusedForNow(self, reply):
        self.assertProblem(reply, 503, "store_failed", "not_ready", "no_memory")
        self.assertIn("Retry-After", reply.headers)

    def register(self, node):
        """The node comes back with the token that it has had."""
        return node.client.post("/register", {
            "id": node.id, "network": node.network, "token": node.token, "ttl": 600})

    def ids(self):
        return {node["id"] for node in self.list()["nodes"]}

    def assertKept(self, nodes, messages):
        """Every one of `nodes` is listed and its token is good; `messages` is {reader: [ids]}."""
        self.assertLessEqual({node.id for node in nodes}, self.ids())
        for node in nodes:
            self.assertEqual(node.heartbeat().status, 200, node.id)
        for reader, expected in messages.items():
            self.assertEqual([message["id"] for message in reader.messages()], expected)


__all__ = ["FaultCase", "Node", "figure", "url", "wait_for"]
