"""The rules of nftables that the lab's bridges, routers and hosts live by, as texts for `nft -f`."""

REFUSALS = {"drop": "drop",
            "reject": "jump refuse"}


def router(address, refusal):
    """Hides those inside behind `address`, and lets in from outside only what they asked for. Who
    asks for `address` from inside is refused too: it has no hairpin. The input chain matters: an
    early packet from outside must leave no trace that a connection from inside would run into."""
    verdict = REFUSALS[refusal]
    return f"""
table ip router {{
    chain refuse {{
        meta l4proto tcp reject with tcp reset
        reject
    }}
    chain input {{
        type filter hook input priority filter
        ct state established,related accept
        iifname "eth0" {verdict}
        ip daddr {address} {verdict}
    }}
    chain forward {{
        type filter hook forward priority filter
        ct state established,related accept
        iifname "eth0" {verdict}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat
        oifname "eth0" masquerade
    }}
}}
"""


def cuts(family, pairs):
    """The whole of what is cut in one place, in the stead of what was cut there before: `family`
    bridge for what a bridge carries, ip for what a router does."""
    text = f"table {family} cuts\ndelete table {family} cuts\n"
    if pairs:
        elements = ", ".join(f"{source} . {target}" for source, target in pairs)
        text += f"""
table {family} cuts {{
    set pairs {{
        type ipv4_addr . ipv4_addr
        elements = {{ {elements} }}
    }}
    chain forward {{
        type filter hook forward priority filter - 10
        ip saddr . ip daddr @pairs drop
    }}
}}
"""
    return text


def bridge_counters(host):
    return f"""
table bridge counters {{
    counter peers {{ }}
    chain forward {{
        type filter hook forward priority filter - 20
        ip saddr {host} return
        ip daddr {host} return
        ip protocol tcp counter name peers
    }}
}}
"""


def host_counters(port):
    return f"""
table inet counters {{
    counter served {{ }}
    counter astray {{ }}
    chain input {{
        type filter hook input priority filter - 20
        tcp dport {port} counter name served return
        meta l4proto {{ tcp, udp }} counter name astray
    }}
    chain output {{
        type filter hook output priority filter - 20
        tcp sport {port} counter name served return
        meta l4proto {{ tcp, udp }} counter name astray
    }}
}}
"""
