"""What so many nodes cost an index, by multiplication. Numbers are those of `assumptions`."""

import dataclasses
import hashlib

MILLION = 1_000_000
GIGABIT_BYTES = 125e6  # a second
FULL_CORE = 0.7        # of the one core that an index uses: past it, queues grow
GIB = 2**30
NEVER = 100 * MILLION  # so many nodes are not asked about


@dataclasses.dataclass(frozen=True)
class Profile:
    """Nodes that are alike. `polls`: each reads its mailbox and the list by long polls; otherwise
    it only sends heartbeats. `changes_an_hour`: how often a node comes, goes or moves. `proxied`:
    few connections carry all, which polls cannot do."""

    name: str
    polls: bool = True
    network_nodes: int = 10  # 0: all nodes are in one
    changes_an_hour: float = 1
    proxied: bool = False


def signs_per_s(profile, numbers):
    """Requests of one node at rest."""
    if not profile.polls:
        return numbers["beat_share"] / numbers["ttl_s"]
    most_s = min(numbers["wait_most_s"], int(numbers["ttl_s"] * numbers["wait_share"]))
    return 1 / (most_s - most_s // numbers["wait_spread"] / 2)  # each draws its wait, evenly


def fan_out(network_nodes, changes_an_hour, numbers):
    """What one watcher is told in a second: changes, and replies, which are that many at most."""
    changes = network_nodes * changes_an_hour / 3600
    return changes, 1 / (numbers["hear_every_s"] + 1 / changes) if changes else 0


def cost(profile, nodes, numbers):
    """Of all that for one index: requests, cores and bytes sent of a second, and bytes of memory
    and disk. `cores_together` is where each pass over the sockets has many requests; as long as the
    index has time to spare, each has a pass of its own."""
    rate = nodes * signs_per_s(profile, numbers)
    each_us = numbers["poll_us" if profile.polls else "beat_us"]
    passes = 2 if profile.polls else 1  # a poll has one at its beginning and one at its end
    changes, replies = (fan_out(profile.network_nodes or nodes, profile.changes_an_hour, numbers)
                        if profile.polls else (0, 0))
    told = nodes * replies
    together_us = (rate + told) * each_us + nodes * changes * numbers["node_us"]
    # Who registers, comes back or moves is written down.
    writes = nodes * profile.changes_an_hour / 3600
    together_us += writes * numbers["register_us"]
    alone_us = together_us + (rate + told + writes) * passes * numbers["pass_us"]
    return {
        "requests_per_s": rate + told,
        "cores_together": together_us / 1e6,
        "cores": min(alone_us / 1e6, max(1, together_us / 1e6)),
        "bytes_per_s": (rate + told) * numbers["reply_bytes"] + (
            nodes * changes * numbers["node_bytes"]),
        "memory": numbers["idle_bytes"] + nodes * (
            numbers["memory_node_bytes"] + (0 if profile.proxied else
                                            numbers["memory_poll_bytes"])),
        "disk": nodes * numbers["disk_node_bytes"],
        "connections": 0 if profile.proxied else nodes,
        "waiters": nodes if profile.polls else 0,
    }


def most_nodes(profile, numbers, name, limit):
    """How many nodes there may be until that cost is at its limit."""
    low, high = 1, NEVER
    while high - low > 1:
        middle = (low + high) // 2
        if cost(profile, middle, numbers)[name] <= limit:
            low = middle
        else:
            high = middle
    return low


def limits(profile, numbers):
    """How many nodes one index takes until each of its resources is used up, the first first."""
    most = {
        "--max-waiters": most_nodes(profile, numbers, "waiters", numbers["max_waiters"]),
        "--max-connections": most_nodes(profile, numbers, "connections",
                                        numbers["max_connections"]),
        "--max-nodes": numbers["max_nodes"],
        "70 % of a core": most_nodes(profile, numbers, "cores_together", FULL_CORE),
        "1 Gbit/s": most_nodes(profile, numbers, "bytes_per_s", GIGABIT_BYTES),
        "1 GiB of memory": most_nodes(profile, numbers, "memory", GIB),
    }
    if not profile.network_nodes:
        most["--max-nodes-per-network"] = numbers["max_nodes_per_network"]
    return dict(sorted(((name, nodes) for name, nodes in most.items() if nodes < NEVER - 1),
                       key=lambda item: item[1]))


def fullest(networks, indexes):
    """What the fullest index has of its even share, where networks are dealt by a hash of their
    names."""
    counts = [0] * indexes
    for number in range(networks):
        digest = hashlib.sha256(b"network-%d" % number).digest()
        counts[int.from_bytes(digest[:8], "big") % indexes] += 1
    return max(counts) * indexes / networks


def round_down(number):
    """To two digits that count."""
    unit = 10 ** max(0, len(str(number)) - 2)
    return number // unit * unit
