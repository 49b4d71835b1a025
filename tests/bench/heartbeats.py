#!/usr/bin/python3
"""How many heartbeats a second, and what one costs, next to others that keep who is there.

`bare` is libmicrohttpd in the same loop, pool and pump with a constant reply: what the index adds
to it is its own doing. `redis` is SET with an expiry of one of as many keys, in memory alone and
with a file that is synced once a second. `opentracker` takes an announcement that asks for no
peers, over UDP, and by HTTP; there it closes the connection after each, so it stands next to the
index with a new connection for each heartbeat, whose latency begins when the connection stands.
`peerjs` never answers a heartbeat: each of the 64 sockets sends one, or 100 without a pause, and
then an offer to itself, for whose way back it waits. So the one is too slow by a relayed offer, and
the other too fast by what it saves in system calls.

All take turns over several rounds in one run, over 64 connections, or datagrams, without
pipelining. The load shares the machine with the server, and where the server used less than one
core (`cores`) the load was the limit: then CPU time, which is the server's alone, is what tells
them apart.
"""

import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.generator import peerjs_beats  # noqa: E402
from tests.bench.lib.load import (  # noqa: E402
    COLUMNS, Requests, announce, compare, http, redis_set, wrk)
from tests.bench.lib.peerjs import PeerJS  # noqa: E402
from tests.bench.lib.report import Bench, in_turn  # noqa: E402
from tests.bench.lib.rivals import Bare, Opentracker, Redis  # noqa: E402
from tests.lib.crowd import register, token  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402

AGAINST = {"bare, new": "index, new", "opentracker, new": "index, new"}


def heartbeats(nodes, *headers):
    return Requests(http("POST", "/heartbeat", b"{}", token(number), headers)
                    for number in range(nodes))


def measure(nodes, rounds, seconds):
    with contextlib.ExitStack() as stack:
        begin = stack.enter_context
        index, bare = begin(Index(*NO_NODE_CAPS)), begin(Bare())
        redis, appending, tracker = begin(Redis()), begin(Redis(True)), begin(Opentracker(nodes))
        peerjs = begin(PeerJS())
        beats, closing = begin(heartbeats(nodes)), begin(heartbeats(nodes, "Connection: close"))
        announcements = begin(Requests(map(tracker.announcement, range(nodes))))
        register(index.port, nodes)
        for store in (redis, appending):
            store.fill(nodes, "1")
        return in_turn(rounds, **{
            "index": lambda: wrk(index, beats, seconds),
            "bare": lambda: wrk(bare, beats, seconds),
            "redis": lambda: redis_set(redis, nodes, "1", seconds),
            "redis, appending": lambda: redis_set(appending, nodes, "1", seconds),
            "peerjs, one by one": lambda: peerjs_beats(peerjs, 1, seconds),
            "peerjs, by 100": lambda: peerjs_beats(peerjs, 100, seconds),
            "index, new": lambda: wrk(index, closing, seconds),
            "bare, new": lambda: wrk(bare, closing, seconds),
            "opentracker, UDP": lambda: announce(tracker, nodes, seconds),
            "opentracker, new": lambda: wrk(tracker, announcements, seconds),
        })


def main():
    bench = Bench("heartbeats", __doc__)
    bench.option("--nodes", type=int, nargs="+", default=[10, 1000, 100000])
    bench.option("--seconds", type=int, default=1, help="how long a turn takes")
    arguments = bench.parse()
    table = bench.table("heartbeats", "Heartbeats", nodes="nodes", **COLUMNS)
    for nodes in arguments.nodes:
        compare(table, measure(nodes, arguments.rounds, arguments.seconds), AGAINST, nodes=nodes)
    bench.write()


if __name__ == "__main__":
    main()
