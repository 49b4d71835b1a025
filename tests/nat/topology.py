"""The topologies by name, and the hosts that each consists of. All have an internet with the index,
a STUN server and a peer; what is behind it differs: its shape, and what its firewalls do."""

import dataclasses

from tests.nat.network import Host
from tests.nat.rules import MINIUPNPD, NATS, PORT, Rules, firewall

# The second of each is of the index for --check-from, of the STUN server for RFC 5780.
INDEX = ("73.0.0.2", "73.0.0.3")
INDEX6 = ("2600:73::2", "2600:73::3")
STUN = ("73.0.0.4", "73.0.0.5")
STUN6 = ("2600:73::4", "2600:73::5")
PEER, PEER6 = "73.0.0.6", "2600:73::6"
PROVIDER, PROVIDER6 = "73.0.0.254", "2600:73::fe"  # the next hop of who has no other
WAN, WAN6 = "73.0.0.10", "2600:73::10"  # outermost of what is behind the internet
SECOND_WAN = "73.0.0.11"  # of a router with two uplinks: the one in use
LAN, LAN6 = "192.168.1.", "2600:73:1::"
ROUTER, CLIENT, OTHER, OFF = (LAN + last for last in ("1", "2", "3", "99"))
ROUTER6, CLIENT6, OTHER6 = (LAN6 + last for last in ("1", "2", "3"))
BETWEEN6 = "2600:73:2::"
NAMES = {  # as /etc/hosts has them inside
    INDEX[0]: "index.test", INDEX6[0]: "index.test",
    STUN[0]: "stun.test", STUN6[0]: "stun.test", PEER: "peer.test", PEER6: "peer.test"}


@dataclasses.dataclass(frozen=True)
class Topology:
    """`shape`: "home" (a router), "two-routers" (`between` is the network of both), "two-uplinks"
    (the router has an address that it is not seen with), "direct" (no router at all)."""

    says: str
    ipv4: Rules
    ipv6: str = "none"  # of IPV6
    shape: str = "home"
    between: str = "100.64.0."
    gateway: bool = False  # whether miniupnpd runs on the router that the client has
    taken: bool = False  # and PORT is mapped there for `other`
    name: str = ""

    def __str__(self):
        return self.name

    @property
    def rules6(self):
        return IPV6[self.ipv6]

    @property
    def client(self):
        """Its address."""
        return WAN if self.shape == "direct" else CLIENT

    @property
    def client6(self):
        """None: it has none."""
        return None if self.ipv6 == "none" else WAN6 if self.shape == "direct" else CLIENT6

    @property
    def seen(self):
        """The IPv4 address of the client as the internet sees it; it is seen with its own IPv6."""
        return SECOND_WAN if self.shape == "two-uplinks" else WAN

    @property
    def wan(self):
        """What the router of the client takes for its outer address."""
        return self.between + "2" if self.shape == "two-routers" else WAN

    @property
    def routers(self):
        """Their names, the outer one first."""
        return {"direct": (), "two-routers": ("outer", "router")}.get(self.shape, ("router",))


def _nat(**rules):
    return Rules(**{"nat": "port-restricted", **rules})


OPEN = {"tcp": "client", "udp": "client"}
REJECTED = {"tcp": "reject", "udp": "reject"}
UNREACHABLE = {"tcp": "unreachable", "udp": "unreachable"}
CONTACTED = {"tcp": "contacted", "udp": "contacted"}

# IPv6 has no NAT; these are the rules of the router, or of the client where it has none.
IPV6 = {
    "none": None,
    "open": Rules(**OPEN),
    "nothing-listening": Rules(**OPEN),
    "rejected": Rules(**REJECTED),
    "unreachable": Rules(**UNREACHABLE),
    "filtered": Rules(),
    "restricted": Rules(**CONTACTED),
    "punchable": Rules(),
    "udp-blocked": Rules(udp_passes=False),
    "inconclusive": Rules(tcp="alternate"),
}

TOPOLOGIES = {
    "open": Topology(f"the router forwards port {PORT} to the client", _nat(**OPEN), "open"),
    "nothing-listening": Topology(
        "as open; for a check that does not listen", _nat(**OPEN), "nothing-listening"),
    "rejected": Topology("the router answers with a reset", _nat(**REJECTED), "rejected"),
    "unreachable": Topology(
        "the router answers that the host is unreachable", _nat(**UNREACHABLE), "unreachable"),
    "filtered": Topology("the router forwards nothing, and drops it", _nat(), "filtered"),
    "dead-host": Topology(
        "forwarded to a host that is off, and nothing comes back", _nat(tcp="dead", udp="dead")),
    "dead-host-told": Topology(
        "forwarded to a host that is off, as the router says after 3 s",
        _nat(tcp="dead-told", udp="dead-told")),
    "elsewhere": Topology(
        "forwarded to `other`, where another service answers", _nat(tcp="other", udp="other")),
    "other-port": Topology(
        "as mappable, but the port is mapped for `other` already: the router gives another",
        _nat(), gateway=True, taken=True),
    "mappable": Topology(
        "filtered, by a router that maps ports (UPnP, NAT-PMP, PCP)", _nat(), gateway=True),
    "cgnat": Topology(
        "a second NAT, the provider's, and 100.64.0.0/10 between", _nat(), shape="two-routers"),
    "cgnat-gateway": Topology(
        "as cgnat, and the inner router knows UPnP, NAT-PMP and PCP", _nat(),
        shape="two-routers", gateway=True),
    "double-nat": Topology(
        "two routers, and 192.168.0.0/24 between", _nat(), shape="two-routers",
        between="192.168.0."),
    "double-nat-gateway": Topology(
        "as double-nat, and the inner router knows UPnP, NAT-PMP and PCP", _nat(),
        shape="two-routers", between="192.168.0.", gateway=True),
    "mismatch": Topology(
        "two uplinks; the router tells the address of the one that is not used", _nat(),
        shape="two-uplinks", gateway=True),
    "restricted": Topology(
        "forwarded, but only from addresses that were sent to", _nat(**CONTACTED), "restricted"),
    "restricted-udp": Topology(
        "an address-restricted NAT: for UDP, addresses that were sent to get in",
        Rules(nat="address-restricted")),
    "full-cone": Topology(
        "a full-cone NAT: for UDP, anyone gets in once something was sent",
        Rules(nat="full-cone")),
    "punchable": Topology("as filtered; for a check of UDP", _nat(), "punchable"),
    "symmetric": Topology(
        "a symmetric NAT: another port for each destination", Rules(nat="symmetric")),
    "udp-blocked": Topology(
        "no UDP passes; TCP is filtered", _nat(udp_passes=False), "udp-blocked"),
    "inconclusive": Topology(
        "by turns TCP is rejected and dropped", _nat(tcp="alternate"), "inconclusive"),
    "direct": Topology(
        "no router: the client is on the internet itself, and lets the port in", Rules(**OPEN),
        "open", shape="direct"),
    "direct-rejected": Topology(
        "no router; the client's own firewall rejects", Rules(**REJECTED), "rejected",
        shape="direct"),
    "direct-firewall": Topology(
        "no router; the client's own firewall drops", Rules(), "filtered", shape="direct"),
}


def topology(ipv4, ipv6=None):
    """By name. `ipv6`: a name of IPV6, in the stead of what belongs to it."""
    found = TOPOLOGIES[ipv4]
    assert ipv6 is None or ipv6 in IPV6, ipv6
    return dataclasses.replace(
        found, ipv6=found.ipv6 if ipv6 is None else ipv6,
        name=ipv4 if ipv6 is None else f"{ipv4}, IPv6 {ipv6}")


# --- the hosts ------------------------------------------------------------------------------------

def hosts(it):
    """Of that topology."""
    made = [*_internet(it), *_SHAPES[it.shape](it)]
    if it.shape != "direct":
        made += [_inside("client", CLIENT, CLIENT6, it), _inside("other", OTHER, OTHER6, it)]
    return made


def _outside(name, *addresses):
    """A host on the internet."""
    host = Host(name, legs={"eth0": "internet"})
    host.address("eth0", *(f"{address}/{64 if ':' in address else 24}" for address in addresses))
    host.route(f"default via {PROVIDER}")
    if any(":" in address for address in addresses):
        host.route(f"default via {PROVIDER6}")
    return host


def _internet(it):
    bridge = Host("internet", bridge="br0", forwards=True)
    bridge.address("br0", f"{PROVIDER}/24", f"{PROVIDER6}/64")
    servers = [_outside("index", *INDEX, *INDEX6), _outside("stun", *STUN, *STUN6),
               _outside("peer", PEER, PEER6)]
    if it.shape != "direct" and it.rules6:
        for host in (bridge, *servers):
            host.route(f"{LAN6}/64 via {WAN6}")
    return [bridge, *servers]


def _inside(name, address, address6, it):
    host = Host(name, legs={"eth0": "router"})
    host.address("eth0", f"{address}/24")
    host.route(f"default via {ROUTER}")
    if it.rules6:
        host.address("eth0", f"{address6}/64")
        host.route(f"default via {ROUTER6}")
    return host


def _router(it, host):
    """The one that the client has; its outer side is there."""
    host.bridge, host.forwards = "lan", True
    host.address("lan", f"{ROUTER}/24", *([f"{ROUTER6}/64"] if it.rules6 else []))
    if "dead" in (it.ipv4.tcp, it.ipv4.udp):
        # It takes the host to be there, and so never finds out.
        host.batch.append(f"neighbour add {OFF} lladdr 02:00:00:00:00:63 nud permanent dev lan")
    host.rules = firewall(4, it.ipv4, {"client": CLIENT, "other": OTHER, "dead": OFF})
    if it.rules6:
        host.rules += firewall(6, it.rules6, {})
    if it.gateway:
        host.rules += MINIUPNPD
    return host


def _home(it):
    return [_router(it, _outside("router", WAN, *([WAN6] if it.rules6 else [])))]


def _two_uplinks(it):
    """What comes from inside takes the second."""
    [router] = _home(it)
    router.legs["eth1"] = "internet"
    router.address("eth1", f"{SECOND_WAN}/24")
    router.route("73.0.0.0/24 dev eth1 table 2", f"default via {PROVIDER} dev eth1 table 2")
    router.batch.append("rule add iif lan lookup 2")
    return [router]


def _two_routers(it):
    outer = _outside("outer", WAN, *([WAN6] if it.rules6 else []))
    outer.bridge, outer.forwards = "lan", True
    outer.address("lan", f"{it.between}1/24")
    outer.rules = firewall(4, _nat(), {})
    router = Host("router", legs={"eth0": "outer"})
    router.address("eth0", f"{it.wan}/24")
    router.route(f"default via {it.between}1")
    if it.rules6:
        outer.address("lan", f"{BETWEEN6}1/64")
        outer.route(f"{LAN6}/64 via {BETWEEN6}2")
        router.address("eth0", f"{BETWEEN6}2/64")
        router.route(f"default via {BETWEEN6}1")
    return [outer, _router(it, router)]


def _direct(it):
    client = _outside("client", WAN, *([WAN6] if it.rules6 else []))
    client.rules = firewall(4, it.ipv4) + (firewall(6, it.rules6) if it.rules6 else "")
    return [client]


_SHAPES = {
    "home": _home, "two-routers": _two_routers, "two-uplinks": _two_uplinks, "direct": _direct}


# --- the picture ----------------------------------------------------------------------------------

def picture(it):
    """The tree of its hosts, with their addresses."""
    def place(name, *words):
        return f"{name:7} " + ", ".join(word for word in words if word)

    six = it.rules6
    rows = ["the internet: 73.0.0.0/24, 2600:73::/64"]
    rows += [" |- " + row for row in (
        place("index", *INDEX, *INDEX6), place("stun", *STUN, *STUN6),
        place("peer", PEER, PEER6))]
    indent = " "
    wan6 = six and WAN6
    if it.shape == "two-routers":
        rows += [indent + "`- " + place("outer", WAN, wan6),
                 indent + f"    |   {NATS['port-restricted']}, drops what comes",
                 indent + "    |   " + place("inside", it.between + "1", six and BETWEEN6 + "1")]
        indent += "    "
    if it.routers:
        outer = {"two-routers": [it.wan, six and BETWEEN6 + "2"],
                 "two-uplinks": [WAN, wan6, f"and {SECOND_WAN}, which is used"]}
        rows += [indent + "`- " + place("router", *outer.get(it.shape, [WAN, wan6])),
                 indent + f"    |   IPv4: {it.ipv4}"]
        rows += [indent + f"    |   IPv6: {six}"] if six else []
        rows += [indent + "    |   miniupnpd: UPnP-IGD, NAT-PMP, PCP"] if it.gateway else []
        rows += [indent + f"    |   port {PORT} is mapped for `other`"] if it.taken else []
        rows += [indent + "    |   " + place("inside", ROUTER, six and ROUTER6),
                 indent + "    |- " + place("client", CLIENT, six and CLIENT6),
                 indent + "    `- " + place("other", OTHER, six and OTHER6)]
    else:
        rows += [indent + "`- " + place("client", WAN, wan6),
                 indent + f"        IPv4: {it.ipv4}"]
        rows += [indent + f"        IPv6: {six}"] if six else []
    return "\n".join(rows)
