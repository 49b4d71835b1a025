"""What a router or a host's firewall does, and the text for `nft -f` that makes it do so.

The outer side is every device called eth*, the inner one `lan`. What comes from outside unasked is
dropped, but for what `Rules` says of one port. The input chain matters: an early packet of another
host must leave no trace that a connection from inside would run into."""

import dataclasses

PORT = 50051  # that is checked
TREATMENTS = {
    "drop": "dropped", "reject": "rejected", "unreachable": "said to be unreachable",
    "client": "let in to the client", "other": "forwarded to `other`",
    "dead": "forwarded to a host that is off", "dead-told": "forwarded to a host that is off",
    "contacted": "let in from addresses that were sent to",
    "alternate": "by turns rejected and dropped"}
NATS = {
    "port-restricted": "a port-restricted NAT", "symmetric": "a symmetric NAT",
    "full-cone": "a full-cone NAT", "address-restricted": "an address-restricted NAT"}
FAMILY = {  # of nftables: how it calls addresses, and how their hosts are called unreachable
    4: ("ip", "ipv4_addr", "icmp port-unreachable", "icmp host-unreachable"),
    6: ("ip6", "ipv6_addr", "icmpv6 port-unreachable", "icmpv6 addr-unreachable")}


@dataclasses.dataclass(frozen=True)
class Rules:
    """What comes of TCP and UDP that come unasked for PORT (one of TREATMENTS), what NAT there is
    (one of NATS, "": none; TCP has port-restricted or symmetric), and whether UDP passes at all."""

    tcp: str = "drop"
    udp: str = "drop"
    nat: str = ""
    udp_passes: bool = True

    def __str__(self):
        said = [NATS[self.nat]] if self.nat else []
        if self.tcp == self.udp:
            said.append(f"port {PORT} is {TREATMENTS[self.tcp]}")
        else:
            said.append(f"TCP {PORT} is {TREATMENTS[self.tcp]}, UDP {TREATMENTS[self.udp]}")
        return "; ".join(said + ([] if self.udp_passes else ["no UDP passes"]))


def firewall(version, rules, targets=None):
    """For IPv4 or IPv6. `targets`: the inside addresses of "client", "other" and "dead", as far as
    something is forwarded to them; None: this is no router, but the firewall of the client."""
    family, kind, _port_unreachable, _host_unreachable = FAMILY[version]
    udp = "" if rules.udp_passes else "meta l4proto udp drop"
    icmp = "icmpv6 type != echo-request accept" if version == 6 else ""
    unasked = "\n        ".join(_unasked(version, rules, protocol) for protocol in ("tcp", "udp"))
    return f"""
table {family} firewall {{
    set contacted {{
        type {kind}
        flags dynamic,timeout
        timeout 5m
    }}
    set silent {{
        type {kind} . inet_proto . inet_service
        flags dynamic,timeout
        timeout 1m
    }}
    chain unasked {{
        {icmp}
        {unasked}
        drop
    }}
    chain passing {{
        {udp}
        ct state established,related accept
        ct status dnat accept
        jump unasked
    }}
    chain leaving {{
        {udp}
        add @contacted {{ {family} daddr }}
    }}
    chain input {{
        type filter hook input priority filter
        iifname "eth*" jump passing
    }}
    {_HOST % family if targets is None else _ROUTER}
    {_translation(rules, targets) if rules.nat else ""}
}}
"""


# Also where no UDP passes, it is another's fault: who sends is not told by its own kernel.
_HOST = """
    chain output {
        type filter hook output priority filter
        oifname "eth*" add @contacted { %s daddr }
    }
"""
_ROUTER = """
    chain forward {
        type filter hook forward priority filter
        iifname "lan" oifname "eth*" jump leaving
        iifname "eth*" jump passing
    }
"""


def _unasked(version, rules, protocol):
    """In the chain of that name: the line for PORT."""
    family, _kind, port_unreachable, host_unreachable = FAMILY[version]
    treatment = getattr(rules, protocol)
    matching = f"{protocol} dport {PORT}"
    reject = f"reject with {'tcp reset' if protocol == 'tcp' else port_unreachable}"
    caller = f"{family} saddr . meta l4proto . {protocol} sport"
    translated = bool(rules.nat)  # then it is for prerouting to let it in
    lines = {
        "drop": [],
        "reject": [f"{matching} {reject}"],
        "unreachable": [f"{matching} reject with {host_unreachable}"],
        "client": [] if translated else [f"{matching} accept"],
        "contacted": [] if translated else [f"{family} saddr @contacted {matching} accept"],
        # By turns, and yet a caller that tries again finds what it found before.
        "alternate": [f"{matching} {caller} @silent drop",
                      f"{matching} numgen inc mod 2 0 {reject}",
                      f"{matching} add @silent {{ {caller} }} drop"],
    }
    assert translated or treatment in lines, f"only a NAT forwards elsewhere ({treatment})"
    return "\n        ".join(lines.get(treatment, []))


def _translation(rules, targets):
    """The NAT. Where it is a cone: an inner port has the same outer one, `cone` knows whose it is,
    and `asked` what it has sent to."""
    forwards = []
    for protocol in ("tcp", "udp"):
        treatment = getattr(rules, protocol)
        target = targets.get("client" if treatment == "contacted" else treatment.split("-")[0])
        if target:
            source = "ip saddr @contacted " if treatment == "contacted" else ""
            forwards.append(f'iifname "eth*" {source}{protocol} dport {PORT} dnat to {target}')
    remember = recall = ""
    if rules.nat in ("full-cone", "address-restricted"):
        remember = ('oifname "eth*" update @cone { udp sport : ip saddr }\n'
                    '        oifname "eth*" update @asked { udp sport . ip daddr }')
        source = "udp dport . ip saddr @asked " if rules.nat == "address-restricted" else ""
        recall = f'iifname "eth*" {source}dnat to udp dport map @cone'
    masquerade = "masquerade fully-random" if rules.nat == "symmetric" else "masquerade"
    forwarded = "\n        ".join(forwards)
    return f"""
    map cone {{
        type inet_service : ipv4_addr
        flags dynamic,timeout
        timeout 5m
    }}
    set asked {{
        type inet_service . ipv4_addr
        flags dynamic,timeout
        timeout 5m
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat
        {forwarded}
        {recall}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat
        {remember}
        oifname "eth*" {masquerade}
    }}
"""


# The chains that miniupnpd keeps its mappings in. What it lets in is let in by `passing` above.
MINIUPNPD = """
table inet miniupnpd {
    chain forward_upnp { }
    chain prerouting_upnp { }
    chain postrouting_upnp { }
    chain prerouting {
        type nat hook prerouting priority dstnat
        jump prerouting_upnp
    }
    chain postrouting {
        type nat hook postrouting priority srcnat
        jump postrouting_upnp
    }
}
"""
