"""What the arithmetic and the simulation of scaling.py go out from: each number with its source."""

import json

# Name: value, and where it is from. Times of the processor are those of `signpostd` alone, on the
# machine that docs/scaling.md names, for a request among many; `us` is microseconds.
KNOWN = {
    # rules of the server
    "ttl_s": (30, "server_limits.h, LIMIT_TTL_DEFAULT_S"),
    "beat_share": (3, "index/nodes.c, HEARTBEAT_SHARE: signs of life in a ttl"),
    "beat_jitter": (0.1, "index/nodes.c, HEARTBEAT_JITTER"),
    "hear_every_s": (0.1, "server_limits.h, LIMIT_HEAR_EVERY_MS"),
    "accept_batch": (128, "http/listen.c, ACCEPT_BATCH"),
    "backlog": (1024, "http/listen.c, LISTEN_BACKLOG"),
    "shed_life_ms": (400, "server_limits.h, LIMIT_SHED_LIFE_MS"),
    "shed_retry_s": (2, "server_limits.h, LIMIT_SHED_RETRY_S"),
    "full_retry_s": (5, "http/loop.c, TURNED_AWAY_RETRY_S"),
    "wait_retry_s": (1, "http/request.c, request_poll()"),
    "retry_spread_s": (3, "http/loop.c, RETRY_JITTER_S: so many different Retry-After"),
    "pass_pages_bytes": (2 * 1024 * 1024, "server_limits.h, LIMIT_PASS_PAGES_BYTES"),
    "max_connections": (25000, "server_limits.h, LIMIT_DEFAULT_CONNECTIONS"),
    "max_waiters": (20000, "server_limits.h, LIMIT_DEFAULT_WAITERS"),
    "max_nodes": (100000, "server_limits.h, LIMIT_DEFAULT_NODES"),
    "max_nodes_per_network": (50000, "server_limits.h, LIMIT_DEFAULT_NODES_PER_NETWORK"),
    # rules of the client
    "wait_share": (2 / 3, "client/link_poll.c, most_wait_s(): of the ttl"),
    "wait_most_s": (25, "client/link.h, LINK_WAIT_S"),
    "wait_spread": (5, "client/link_poll.c, WAIT_SPREAD: a poll waits up to such a share less"),
    "short_timeout_s": (10, "client/link.h, LINK_SHORT_TIMEOUT_MS"),
    "slack_s": (10, "client/link_poll.c, WAIT_SLACK_MS"),
    "backoff_first_s": (0.5, "client/client.h, CLIENT_BACKOFF_FIRST_MS"),
    "backoff_share": (3, "client/link.c, link_most_backoff_ms(): the longest, of the ttl"),
    "retry_share": (4, "client/client.c, client_backoff_ms(): of the backoff, past Retry-After"),
    # what was measured
    "beat_us": (8, "heartbeats.py"),
    "poll_us": (10, "/events that is answered at once"),
    "connect_us": (10, "heartbeats.py: a heartbeat over a new connection, less one over an old"),
    "tls_us": (800, "docs/http.md: a handshake with an ECDSA key"),
    "register_us": (29, "registrations.py, new nodes"),
    "refuse_us": (6, "a request that is answered by its headers alone"),
    "node_us": (1.4, "lists.py: for each node of a list"),
    "pass_us": (100, "restarts.py: a pass over the sockets, besides the requests in it"),
    "node_bytes": (190, "lists.py: of a list, for each node"),
    "reply_bytes": (390, "a reply that says nothing new, with its headers"),
    "memory_node_bytes": (400, "100,000 nodes in memory"),
    "memory_poll_bytes": (8000, "fanout.py"),
    "disk_node_bytes": (215, "a database of 100,000 nodes"),
    "idle_bytes": (7.3e6, "rest.py: an index with nobody"),
}

# Where a result of another measurement has the number: its name, table, the row, the column.
MEASURED = {
    "beat_us": ("heartbeats", "heartbeats", {"server": "index"}, "cpu_us"),
    "register_us": ("registrations", "new", {"server": "index"}, "cpu_us"),
    "pass_us": ("restarts", "rest", {}, "pass_us"),
}


def read(paths):
    """The numbers by name; those in the files win: results of measurements, or {name: value}."""
    numbers = {name: value for name, (value, _) in KNOWN.items()}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        numbers.update(taken(found) if "tables" in found else found)
    unknown = set(numbers) - set(KNOWN)
    assert not unknown, f"no such assumptions: {unknown}"
    return numbers


def taken(result):
    """What a result of a measurement says, from the row with the most nodes."""
    numbers = {}
    for name, (bench, table, wanted, column) in MEASURED.items():
        rows = result["tables"].get(table, {}).get("rows", []) if result["name"] == bench else []
        rows = [row for row in rows if wanted.items() <= row.items()]
        if rows:
            numbers[name] = max(rows, key=lambda row: row.get("nodes", 0))[column]
    return numbers
