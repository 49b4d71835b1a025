"""A loop that has more to do than it can: what is least urgent is turned away first, and what keeps
nodes registered goes on. Each write of the disk takes 35 ms, some of them make a commit, and there is
always one to do."""

import itertools
import threading
import unittest

from tests.faults.case import FaultCase, figure, wait_for
from tests.faults.shims import Disk
from tests.lib.attack import Pipe, request
from tests.lib.case import some_id
from tests.lib.http import url
from tests.lib.metrics import read_metrics

WRITE_MS = 35  # so that a pass takes between the limits of lists and of heartbeats
ROUNDS = 10
WRITERS = 4
UNDER_WAY = 4  # requests of each, so that the index has some while a writer has no processor


class TestOverload(FaultCase):
    def setUp(self):
        super().setUp()
        self.disk = Disk(self)
        self.start(env=self.disk.environment)
        self._stopping = threading.Event()
        self._threads = []
        self.addCleanup(self.stop_writing)

    def run_beside(self, action, *args):
        thread = threading.Thread(target=action, args=args)
        self._threads.append(thread)
        thread.start()

    def stop_writing(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def slow_down(self):
        while not self._stopping.wait(0.005):
            self.disk.set(stall_ms=WRITE_MS)
        self.disk.set(stall_ms=0)

    def write(self, node):
        beats = (request("POST", "/heartbeat", {"id": node.id, "meta": {"number": number}},
                         node.token) for number in itertools.count())
        with Pipe(self.index, "127.0.0.1") as pipe:
            pipe.send(itertools.islice(beats, UNDER_WAY))
            while not self._stopping.is_set():
                pipe.reply()
                pipe.send([next(beats)])

    def status(self, *request):
        reply = self.client.request(*request)
        if reply.status == 503:
            self.assertProblem(reply, 503, "overloaded")
            self.assertGreaterEqual(int(reply.headers["Retry-After"]), 2)
            self.assertEqual(reply["action"], "retry")
        return reply.status

    def test_busy_index_turns_away_lists_and_keeps_nodes(self):
        node, peer = self.node("a"), self.node("b")
        cursor = self.list()["cursor"]
        whole = url("/list", network=self.network)
        changes = url("/list", network=self.network, since=cursor)
        self.run_beside(self.slow_down)
        for writer in [self.node() for _ in range(WRITERS)]:
            self.run_beside(self.write, writer)
        wait_for(lambda: self.status("GET", whole) == 503, "lists are turned away")
        refused = dict.fromkeys(("list", "changes", "message", "heartbeat", "health"), 0)
        for _ in range(ROUNDS):
            for what, reply in (
                    ("list", self.client.get(whole)), ("changes", self.client.get(changes)),
                    ("message", node.write(peer, id=some_id(), ttl=60)),
                    ("heartbeat", node.heartbeat()), ("health", self.client.get("/healthz"))):
                refused[what] += reply.status == 503
        self.assertGreaterEqual(refused["list"], ROUNDS - 2, refused)
        self.assertLessEqual(refused["changes"], refused["list"], refused)
        self.assertLessEqual(refused["message"], refused["changes"], refused)
        self.assertEqual((refused["heartbeat"], refused["health"]), (0, 0), refused)
        figure(f"every write of the disk takes {WRITE_MS} ms, all the while",
               f"of {ROUNDS} each turned away: {refused}")
        # Also those that were asked before and between.
        self.assertGreaterEqual(read_metrics(self.index)["signpost_limit_hits_total", "load"],
                                sum(refused.values()))
        self.stop_writing()
        wait_for(lambda: self.status("GET", whole) == 200, "lists are served again")
        self.assertEqual(len(self.list()["nodes"]), 2 + WRITERS)


if __name__ == "__main__":
    unittest.main()
