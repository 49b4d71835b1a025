"""A small network on this machine: a namespace for each of its hosts, and one for the bridge that
joins them. All are made here and removed again, also on failure. Needs root and iproute2."""

import json
import os
import shutil
import subprocess
import sys
import unittest

from tests.lib.index import Index

PREFIX = "10.77.0."
BITS = "/24"
# An address does not go with the one that it was added beside, and is there at once.
SETTINGS = {"/proc/sys/net/ipv4/conf/all/promote_secondaries": 1,
            "/proc/sys/net/ipv6/conf/default/accept_dad": 0}


def ip(*words, **options):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


class Lab:
    """A bridge with a leg into each of several namespaces, where it is eth0."""

    def __init__(self, *names):
        self._last = 0
        self.addresses = {name: self.new_address() for name in names}
        self._made = []

    def namespace(self, name):
        return f"signpost-{os.getpid()}-{name}"

    def within(self, name):
        """What runs a command in that namespace, as that very process."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def ip(self, name, *words, **options):
        return ip("-n", self.namespace(name), *words, **options)

    # --- its life ---------------------------------------------------------------------------

    def build(self):
        self._add("bridge")
        self.ip("bridge", "link", "add", "br0", "type", "bridge")
        self.ip("bridge", "link", "set", "br0", "up")
        for name, address in self.addresses.items():
            self._add(name)
            self.ip(name, "link", "add", "eth0", "type", "veth",
                    "peer", "name", "to-" + name, "netns", self.namespace("bridge"))
            self.ip("bridge", "link", "set", "to-" + name, "master", "br0", "up")
            self.ip(name, "link", "set", "lo", "up")
            self.add_address(name, address)
            self.up(name)

    def _add(self, name):
        ip("netns", "add", self.namespace(name))
        self._made.append(self.namespace(name))
        for path, value in SETTINGS.items():
            if os.path.exists(path):
                subprocess.run([*self.within(name), "sh", "-c", f"echo {value} >{path}"],
                               check=True)

    def remove(self):
        """The interfaces go with their namespaces; what was never made is not asked for."""
        while self._made:
            subprocess.run(["ip", "netns", "delete", self._made.pop()], check=False)

    # --- what happens to an interface -------------------------------------------------------

    def new_address(self):
        """One that nobody has."""
        self._last += 1
        return f"{PREFIX}{self._last}"

    def up(self, name):
        self.ip(name, "link", "set", "eth0", "up")

    def down(self, name):
        self.ip(name, "link", "set", "eth0", "down")

    def add_address(self, name, address):
        self.ip(name, "address", "add", address + BITS, "dev", "eth0")

    def delete_address(self, name, address):
        self.ip(name, "address", "delete", address + BITS, "dev", "eth0")

    def bytes_of(self, name):
        """All bytes that went in and out of it so far."""
        link = json.loads(self.ip(name, "-json", "-stats", "link", "show", "dev", "eth0"))[0]
        return link["stats64"]["rx"]["bytes"] + link["stats64"]["tx"]["bytes"]


class LabCase(unittest.TestCase):
    """An index in a namespace, and namespaces for its `nodes`."""

    nodes = ()

    def why_not(self):
        """Why the tests cannot run here; None: they can."""
        if os.geteuid() != 0:
            return "it makes network namespaces, and only root may"
        if not shutil.which("ip"):
            return "iproute2 is not installed"
        if subprocess.run(["unshare", "--net", "true"], capture_output=True,
                          check=False).returncode:
            return "this machine lets not even root make network namespaces"
        return None

    def setUp(self):
        reason = self.why_not()
        if reason:
            print(f"SKIPPED {type(self).__module__}: {reason}", file=sys.stderr)
            self.skipTest(reason)
        self.lab = Lab("index", *self.nodes)
        self.addCleanup(self.lab.remove)
        self.lab.build()
        address = self.lab.addresses["index"]
        self.index = Index("--open", listen=(address + ":0",), wrapper=self.lab.within("index"))
        self.addCleanup(self.index.close)
        self.index.start()
        self.url = f"http://{address}:{self.index.port}"
