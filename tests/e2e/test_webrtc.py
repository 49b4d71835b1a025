"""The index's main job: two agents that know nothing but its address open a DataChannel between
them, and nothing that they say to each other passes the index.

Each of the three lives in a network namespace of its own; a fourth holds the bridge between them.
All four are made here and removed again, also on failure. Needs root and python3-aiortc."""

import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import unittest

from tests.lib.index import ROOT, Index, clean_environment

BULK = 256 * 1024
SMALL = 64 * 1024
STEP_S = 30
PREFIX = "10.77.0."


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


class Lab:
    """A bridge with a leg into each of several namespaces."""

    def __init__(self, *names):
        self.addresses = {name: f"{PREFIX}{at}" for at, name in enumerate(names, 1)}
        self._made = []

    def namespace(self, name):
        return f"signpost-{os.getpid()}-{name}"

    def build(self):
        bridge = self._add("bridge")
        ip("-n", bridge, "link", "add", "br0", "type", "bridge")
        ip("-n", bridge, "link", "set", "br0", "up")
        for name, address in self.addresses.items():
            space = self._add(name)
            ip("-n", space, "link", "add", "eth0", "type", "veth",
               "peer", "name", "to-" + name, "netns", bridge)
            ip("-n", bridge, "link", "set", "to-" + name, "master", "br0", "up")
            ip("-n", space, "address", "add", address + "/24", "dev", "eth0")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", "eth0", "up")

    def _add(self, name):
        ip("netns", "add", self.namespace(name))
        self._made.append(self.namespace(name))
        return self.namespace(name)

    def remove(self):
        """The interfaces go with their namespaces; what was never made is not asked for."""
        while self._made:
            subprocess.run(["ip", "netns", "delete", self._made.pop()], check=False)

    def within(self, name):
        """What runs a command in that namespace, as that very process."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def bytes_of(self, name):
        """All bytes that went in and out of its interface so far."""
        link = json.loads(ip("-n", self.namespace(name), "-json", "-stats", "link", "show",
                             "dev", "eth0"))[0]
        return link["stats64"]["rx"]["bytes"] + link["stats64"]["tx"]["bytes"]


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


def why_not():
    if os.geteuid() != 0:
        return "it makes network namespaces, and only root may"
    if importlib.util.find_spec("aiortc") is None:
        return "python3-aiortc is not installed"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        return "this machine lets not even root make network namespaces"
    return None


class TestWebrtc(unittest.TestCase):
    def setUp(self):
        reason = why_not()
        if reason:
            print(f"SKIPPED tests/e2e/test_webrtc.py: {reason}", file=sys.stderr)
            self.skipTest(reason)
        self.lab = Lab("index", "a", "b")
        self.addCleanup(self.lab.remove)
        self.lab.build()
        address = self.lab.addresses["index"]
        self.index = Index("--open", listen=(address + ":0",), wrapper=self.lab.within("index"))
        self.addCleanup(self.index.close)
        self.index.start()
        self.url = f"http://{address}:{self.index.port}"

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
