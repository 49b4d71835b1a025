"""The index's main job: two agents that know nothing but its address open a DataChannel between
them, and nothing that they say to each other passes the index.

Each of the three lives in a network namespace of its own. Needs root and python3-aiortc."""

import importlib.util
import json
import queue
import subprocess
import sys
import threading

from tests.lib.index import ROOT, clean_environment
from tests.lib.lab import LabCase

BULK = 256 * 1024
SMALL = 64 * 1024
STEP_S = 30


class Agent:
    """One agent process and the events that it has printed."""

    def __init__(self, lab, id, peer, index):
        self.id = id
        self.seen = []
        self._events = queue.Queue()
        self._process = subprocess.Popen(
            [*lab.within(id), sys.executable, "-m", "tests.e2e.agent", "--index", index,
             "--id", id, "--peer", peer], cwd=ROOT, env=clean_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.errors = []
        self._threads = [threading.Thread(target=self._read),
                         threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self):
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put({"event": "ended"})

    def _read_errors(self):
        self.errors.extend(self._process.stderr)

    def wait_for(self, event):
        """The next `event`; all that comes before it is kept in `seen`."""
        while True:
            try:
                came = self._events.get(timeout=STEP_S)
            except queue.Empty:
                raise AssertionError(f"no {event} of {self}") from None
            self.seen.append(came)
            if came["event"] == event:
                return came
            if came["event"] in ("ended", "failed"):
                raise AssertionError(f"no {event} of {self}")

    def tell(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def end(self):
        """Its exit code, after it was told to go."""
        self.tell("bye")
        self.wait_for("closed")
        return self._process.wait(STEP_S)

    def clean_up(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            stream.close()

    def __str__(self):
        return f"{self.id}, which said {self.seen} and {''.join(self.errors)}"


class TestWebrtc(LabCase):
    nodes = ("a", "b")

    def why_not(self):
        if importlib.util.find_spec("aiortc") is None:
            return "python3-aiortc is not installed"
        return super().why_not()

    def agents(self):
        """Both, connected with each other."""
        agents = []
        for id, peer in (("a", "b"), ("b", "a")):
            agents.append(Agent(self.lab, id, peer, self.url))
            self.addCleanup(agents[-1].clean_up)
        for agent in agents:
            agent.wait_for("connected")
        return agents

    def assertPasses(self, sender, receiver, text):
        sender.tell("say " + text)
        self.assertEqual(receiver.wait_for("message")["text"], text)

    def test_webrtc_connects_and_nothing_passes_the_index(self):
        a, b = self.agents()
        self.assertEqual([e["type"] for e in a.seen if e["event"] == "sent"],
                         ["knock", "offer", "candidates"])
        self.assertEqual([e["type"] for e in b.seen if e["event"] == "sent"],
                         ["ready", "answer", "candidates"])
        self.assertPasses(a, b, "hello from a")
        self.assertPasses(b, a, "hello from b")

        before = {name: self.lab.bytes_of(name) for name in self.lab.addresses}
        a.tell(f"bulk {BULK}")
        self.assertEqual(a.wait_for("message")["text"], f"bulk-got {BULK} of {BULK}")
        grown = {name: self.lab.bytes_of(name) - before[name] for name in before}
        self.assertGreater(grown["a"], BULK, grown)
        self.assertGreater(grown["b"], BULK, grown)
        self.assertLess(grown["index"], SMALL, grown)

        self.assertEqual((a.end(), b.end()), (0, 0))

    def test_webrtc_outlives_the_index(self):
        a, b = self.agents()
        self.index.kill()
        self.assertPasses(a, b, "still there")
        self.assertPasses(b, a, "so am I")
        self.assertEqual((a.end(), b.end()), (0, 0))
