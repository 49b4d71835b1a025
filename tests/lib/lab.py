"""A small network on this machine: a namespace for each of its hosts, one for the bridge that joins
them, and routers with private networks behind them. All is made here and removed again, also on
failure. Needs root and iproute2; routers, cuts and counters need nftables."""

import contextlib
import ctypes
import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

from tests.lib import rules
from tests.lib.index import Index

PREFIX = "73.0.0."  # public: the ranges for documentation are reserved, and may be seen as such
BITS = "/24"
NAMESPACES = "/run/netns"
ETC = "/etc/netns"  # a folder for each namespace that has files of /etc of its own
FOLDERS = "/run"  # and one for what its programs write; only root writes there
CLONE_NEWNET = 0x40000000
SETTINGS = {
    # An address does not go with the one that it was added beside, and is there at once.
    "net/ipv4/conf/all/promote_secondaries": 1, "net/ipv6/conf/eth0/accept_dad": 0,
    # What a bridge carries is not for the rules of a router.
    "net/bridge/bridge-nf-call-iptables": 0, "net/bridge/bridge-nf-call-ip6tables": 0}

libc = ctypes.CDLL(None, use_errno=True)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def ip(*words, **options):
    return run("ip", *words, **options)


def lines(*groups):
    return "".join(line + "\n" for group in groups for line in group)


@dataclasses.dataclass(frozen=True)
class Home:
    """Hosts on a private network behind a router that hides them. What comes from outside unasked
    is dropped or rejected, and so is what comes from inside to the router's outer address."""

    router: str
    hosts: tuple
    refusal: str = "drop"  # or "reject"


class Lab:
    """A bridge with a leg into each of several namespaces, where it is eth0. A router has another
    bridge, `lan`, with a leg into each of its hosts."""

    _labs = itertools.count(1)  # of this process

    def __init__(self, *names, homes=()):
        self._number = next(self._labs)
        self._last = 0
        self._homes = {host: home for home in homes for host in home.hosts}
        self._routers = {home.router: home for home in homes}
        self.addresses = {name: self.new_address() for name in (*names, *self._routers)}
        for number, home in enumerate(homes, 1):
            self.addresses.update((host, f"192.168.{number}.{last}")
                                  for last, host in enumerate(home.hosts, 2))
        self._made = []
        self._cuts = set()
        self._cut_places = set()

    def namespace(self, name):
        return f"signpost-{os.getpid()}-{self._number}-{name}"

    def within(self, name):
        """What runs a command in that namespace, as that very process."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def ip(self, name, *words, **options):
        return ip("-n", self.namespace(name), *words, **options)

    def nft(self, name, text):
        return run(*self.within(name), "nft", "-f", "-", input=text)

    # --- its life ---------------------------------------------------------------------------

    def build(self):
        """In few processes, so that many hosts are there soon."""
        remove_left_behind()
        names = ["bridge", *self.addresses]
        self._made = [self.namespace(name) for name in names]
        legs = [f"link add eth0 address {mac(address)} netns {self.namespace(name)} type veth "
                f"peer name to-{name} netns {self.namespace(self._segment(name))}"
                for name, address in self.addresses.items()]
        bridges = [f"link add {self._bridge(place)} netns {self.namespace(place)} type bridge"
                   for place in ("bridge", *self._routers)]
        ip("-batch", "-", input=lines((f"netns add {made}" for made in self._made), bridges, legs))
        run("sh", "-e", input="".join(map(self._configuration, names)))

    def _segment(self, name):
        """The namespace of the bridge that this host has a leg on."""
        return self._homes[name].router if name in self._homes else "bridge"

    @staticmethod
    def _bridge(place):
        return "br0" if place == "bridge" else "lan"

    def _configuration(self, name):
        """The part of a shell script that makes the namespace what it is to be."""
        batch = ["link set lo up"]
        if name != "bridge":
            batch += [f"address add {self.addresses[name]}{BITS} dev eth0", "link set eth0 up"]
        if name == "bridge" or name in self._routers:
            batch.append(f"link set {self._bridge(name)} up")
        if name in self._homes:
            batch.append(f"route add default via {gateway(self.addresses[name])}")
        elif name != "bridge":
            # Else 40 hosts would learn more neighbours than a kernel keeps of all its namespaces.
            batch += [f"neighbour add {address} lladdr {mac(address)} nud permanent dev eth0"
                      for other, address in self.addresses.items()
                      if other != name and other not in self._homes]
        hosts = [host for host in self.addresses if self._segment(host) == name]
        batch += [f"link set to-{host} master {self._bridge(name)} up" for host in hosts]
        settings, ruleset = dict(SETTINGS), ""
        if name in self._routers:
            settings["net/ipv4/ip_forward"] = 1
            inside = gateway(self.addresses[self._routers[name].hosts[0]])
            batch.append(f"address add {inside}{BITS} dev lan")
            ruleset = rules.router(self.addresses[name], self._routers[name].refusal)
        return lines(
            [f"nsenter --net={NAMESPACES}/{self.namespace(name)} sh -e <<'END'"],
            (f"[ ! -e /proc/sys/{path} ] || echo {value} >/proc/sys/{path}"
             for path, value in settings.items()),
            ["ip -batch - <<'BATCH'", *batch, "BATCH"],
            ["nft -f - <<'RULES'", ruleset, "RULES"] if ruleset else [], ["END"])

    def remove(self):
        """The interfaces go with their namespaces; what was never made is not asked for."""
        remove_namespaces(self._made)
        self._made = []

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

    def change_address(self, name):
        """Of a host on the bridge: to a new one, which is given; then the old one is deleted."""
        new, old = self.new_address(), self.addresses[name]
        self.add_address(name, new)
        self.delete_address(name, old)
        self.addresses[name] = new
        self._apply_cuts()
        return new

    def bytes_of(self, name):
        """All bytes that went in and out of it so far."""
        link = json.loads(self.ip(name, "-json", "-stats", "link", "show", "dev", "eth0"))[0]
        return link["stats64"]["rx"]["bytes"] + link["stats64"]["tx"]["bytes"]

    # --- cuts -------------------------------------------------------------------------------

    def cut(self, *pairs):
        """From now on nothing gets from one host of a pair to the other, and nobody is told."""
        self._cuts.update(map(frozenset, pairs))
        self._apply_cuts()

    def heal(self, *pairs):
        """Those pairs; all, where there are none."""
        self._cuts -= set(map(frozenset, pairs or self._cuts))
        self._apply_cuts()

    def _path(self, one, other):
        """Where what goes between two hosts can be cut, and the addresses that they have there."""
        if self._segment(one) == self._segment(other):
            return (self._segment(one), "bridge"), self.addresses[one], self.addresses[other]
        if one not in self._homes:
            one, other = other, one
        seen = self._homes[other].router if other in self._homes else other
        return (self._segment(one), "ip"), self.addresses[one], self.addresses[seen]

    def _apply_cuts(self):
        wanted = {place: [] for place in self._cut_places}
        for pair in self._cuts:
            place, one, other = self._path(*pair)
            wanted.setdefault(place, []).extend([(one, other), (other, one)])
        for (name, family), pairs in wanted.items():
            self.nft(name, rules.cuts(family, pairs))
        self._cut_places = {place for place, pairs in wanted.items() if pairs}

    # --- counters ---------------------------------------------------------------------------

    def count(self, name, port):
        """Counts from now on what goes over the bridge, and what reaches or leaves this host."""
        self.nft("bridge", rules.bridge_counters(self.addresses[name]))
        self.nft(name, rules.host_counters(port))

    def counted(self, name):
        """What was counted since, as (packets, bytes): `peers`, TCP on the bridge that is not of
        this host; `served`, its own TCP at the port; `astray`, its other TCP and UDP."""
        counters = {}
        for place in ("bridge", name):
            text = run(*self.within(place), "nft", "-j", "list", "counters")
            for entry in json.loads(text)["nftables"]:
                if "counter" in entry:
                    counter = entry["counter"]
                    counters[counter["name"]] = (counter["packets"], counter["bytes"])
        return counters


def gateway(address):
    return re.sub(r"\d+$", "1", address)


def mac(address):
    return ":".join(["02:00", *(f"{int(part):02x}" for part in address.split("."))])


def enter(path):
    """Sockets that this thread makes from now on are at home in that network namespace."""
    with open(path, "rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def names_in(folder, pattern):
    there = os.listdir(folder) if os.path.isdir(folder) else []
    return [name for name in there if re.fullmatch(pattern, name)]


def namespaces(pattern):
    """Those that are there and match."""
    return names_in(NAMESPACES, pattern)


def remove_namespaces(names):
    """With their files of /etc."""
    names = list(names)
    there = [name for name in names if os.path.exists(os.path.join(NAMESPACES, name))]
    if there:
        subprocess.run(["ip", "-force", "-batch", "-"], text=True, check=False,
                       input=lines(f"netns delete {name}" for name in there))
    for name in names:
        shutil.rmtree(os.path.join(ETC, name), ignore_errors=True)
    with contextlib.suppress(OSError):  # another has files there
        os.rmdir(ETC)


def left_behind(folder):
    """The names in there of what was of a process that is no more."""
    return [name for name in names_in(folder, r"signpost-\d+-.*")
            if not os.path.exists("/proc/" + name.split("-")[1])]


def remove_left_behind():
    """What a test left that was killed itself."""
    remove_namespaces({*left_behind(NAMESPACES), *left_behind(ETC)})
    for name in left_behind(FOLDERS):
        shutil.rmtree(os.path.join(FOLDERS, name), ignore_errors=True)


class LabCase(unittest.TestCase):
    """An index in a namespace, and namespaces for its `nodes` and for its `homes`."""

    nodes = ()
    homes = ()
    rules = False  # whether it needs nftables also where there is no home
    port = 0  # of the index
    arguments = ()  # more of the index
    options = {}  # and of Index

    def why_not(self):
        """Why the tests cannot run here; None: they can."""
        if os.geteuid() != 0:
            return "it makes network namespaces, and only root may"
        if not shutil.which("ip"):
            return "iproute2 is not installed"
        if not can_alone("true"):
            return "this machine lets not even root make network namespaces"
        if self.rules or self.homes:
            if not shutil.which("nft"):
                return "nftables is not installed"
            if not all(can_alone("nft", "add", "table", family, "t")
                       for family in ("ip", "inet", "bridge")):
                return "the kernel of this machine lacks nftables"
        return None

    def setUp(self):
        reason = self.why_not()
        if reason:
            print(f"SKIPPED {type(self).__module__}: {reason}", file=sys.stderr)
            self.skipTest(reason)
        self.lab = Lab("index", *self.nodes, homes=self.homes)
        self.addCleanup(self.lab.remove)
        self.lab.build()
        self.furnish()
        address = self.lab.addresses["index"]
        self.index = Index("--open", *self.arguments, listen=(f"{address}:{self.port}",),
                           wrapper=self.lab.within("index"), **self.options)
        self.addCleanup(self.index.close)
        self.index.start()
        self.url = f"http://{address}:{self.index.port}"

    def furnish(self):
        """What is to be there in the network before the index starts."""

    def acts_as(self, name):
        """What this test sends from now on comes from that host."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.addCleanup(os.close, home)
        self.addCleanup(enter, f"/proc/self/fd/{home}")
        enter(os.path.join(NAMESPACES, self.lab.namespace(name)))


def can_alone(*command):
    """Whether that works in a network namespace of its own."""
    return subprocess.run(["unshare", "--net", *command], capture_output=True,
                          check=False).returncode == 0
