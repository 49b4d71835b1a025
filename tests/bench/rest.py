#!/usr/bin/python3
"""What the index takes when little happens: memory and CPU with nothing, CPU while nodes do no more
than send their heartbeats, memory by how many are registered.

Nodes have the lease that the index gives them by itself, and beat after a third of it, evenly
spread, over a few kept connections; `bare` is sent the same. `peerjs` has a WebSocket for each
node, with a HEARTBEAT every 5 s as its clients send it; its memory is that with so many sockets
open.
"""

import contextlib
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.generator import staying  # noqa: E402
from tests.bench.lib.peerjs import PeerJS  # noqa: E402
from tests.bench.lib.report import Bench, in_turn, resident_kib  # noqa: E402
from tests.bench.lib.rivals import Bare  # noqa: E402
from tests.lib.crowd import register  # noqa: E402
from tests.lib.http import Client  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402

PEERJS_INTERVAL_S = 5


def index_for_many():
    return Index(*NO_NODE_CAPS)


def index_interval_s():
    """A third of the lease that a node gets which asks for none."""
    with index_for_many() as index:
        with contextlib.closing(Client(index)) as client:
            return round(client.post("/register", {"id": "asks"})["ttl"] / 3)


def idle(server, seconds):
    """(MiB, share of a core in percent) of a server that was just started."""
    with server as running:
        cpu_s, start = running.cpu_s(), time.monotonic()
        time.sleep(seconds)
        share = (running.cpu_s() - cpu_s) / (time.monotonic() - start)
        return resident_kib(running.pid) / 1024, 100 * share


def beating(mode, server, nodes, interval_s, seconds):
    """A row of what the signs of life of so many cost."""
    with server as running:
        with staying(mode, running.port, running.pid, nodes, interval_s, seconds) as told:
            return {
                "per_s": told["beats"] / (told["took_us"] / 1e6),
                "cpu": 100 * told["cpu_us"] / told["took_us"],
                "each": told["cpu_us"] / told["beats"],
                "resident": resident_kib(running.pid) / 1024,
            }


def registered(nodes):
    """KiB, before and after."""
    with index_for_many() as index:
        before = resident_kib(index.pid)
        register(index.port, nodes)
        return before, resident_kib(index.pid)


def connected(sockets):
    with PeerJS() as peerjs:
        before = resident_kib(peerjs.pid)
        with staying("sockets", peerjs.port, peerjs.pid, sockets, PEERJS_INTERVAL_S, 0):
            return before, resident_kib(peerjs.pid)


def median_row(rows):
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def main():
    bench = Bench("rest", __doc__)
    bench.parser.set_defaults(rounds=3)
    bench.option("--seconds", type=int, default=10, help="how long CPU is measured")
    bench.option("--nodes", type=int, nargs="+", default=[10, 1000, 10000])
    bench.option("--sockets", type=int, nargs="+", default=[10, 1000],
                 help="nodes of PeerJS server's that beat")
    bench.option("--registered", type=int, nargs="+", default=[1000, 10000, 100000])
    bench.option("--connected", type=int, nargs="+", default=[1000, 10000],
                 help="sockets of PeerJS server's for its memory")
    arguments = bench.parse()
    seconds = arguments.seconds

    table = bench.table("idle", "With nothing", server="server", resident="resident MiB",
                        cpu="CPU %")
    turns = in_turn(arguments.rounds, index=lambda: idle(index_for_many(), seconds),
                    peerjs=lambda: idle(PeerJS(), seconds))
    for server, turn in turns.items():
        resident, cpu = map(statistics.median, zip(*turn))
        table.row(server=server, resident=resident, cpu=cpu)

    interval_s = index_interval_s()
    table = bench.table("beating", f"Heartbeats alone, each {interval_s} s to the index and "
                        f"{PEERJS_INTERVAL_S} s to PeerJS", nodes="nodes", server="server",
                        per_s="beats /s", cpu="CPU %", each="CPU us each", resident="resident MiB")
    for nodes in sorted({*arguments.nodes, *arguments.sockets}):
        measures = {}
        if nodes in arguments.nodes:
            for server, start in (("index", index_for_many), ("bare", Bare)):
                measures[server] = lambda n=nodes, start=start: beating(
                    "nodes", start(), n, interval_s, seconds)
        if nodes in arguments.sockets:
            measures["peerjs"] = lambda n=nodes: beating(
                "sockets", PeerJS(), n, PEERJS_INTERVAL_S, seconds)
        for server, turn in in_turn(arguments.rounds, **measures).items():
            table.row(nodes=nodes, server=server, **median_row(turn))

    table = bench.table("memory", "Memory by node", nodes="nodes", server="server",
                        resident="resident MiB", each="KiB each")
    for server, counts, measure in (("index", arguments.registered, registered),
                                    ("peerjs", arguments.connected, connected)):
        for nodes in counts:
            turns = [measure(nodes) for _ in range(arguments.rounds)]
            table.row(nodes=nodes, server=server,
                      resident=statistics.median(after for _, after in turns) / 1024,
                      each=statistics.median(after - before for before, after in turns) / nodes)
    bench.write()


if __name__ == "__main__":
    main()
