#!/usr/bin/python3
"""How long a message takes from its sender to a reader that waits, by how many others wait too.

An offer of a data channel is posted over a kept connection; the time ends when its reader has the
whole reply. `peerjs` relays the same offer between two of as many open WebSockets, and keeps
nothing: it writes no message down. `trip` is a bare round trip of the same request to libmicrohttpd
in the index's own loop, `two trips` are two of them one after the other. Before each sample every
server rests for 2 ms. The reader acknowledges and waits anew outside of the measured time.
"""

import contextlib
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.generator import generate  # noqa: E402
from tests.bench.lib.peerjs import PeerJS  # noqa: E402
from tests.bench.lib.report import Bench, exponent, in_turn, percentile, ratio  # noqa: E402
from tests.bench.lib.rivals import Bare  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS, NO_POLL_CAPS  # noqa: E402

FAR = 1000  # from so many on what grows with them is seen


def measure(parked, rounds, samples):
    """{server: [microseconds of each sample] of each round}."""
    with contextlib.ExitStack() as stack:
        index = stack.enter_context(Index(*NO_NODE_CAPS, *NO_POLL_CAPS))
        bare, peerjs = stack.enter_context(Bare()), stack.enter_context(PeerJS())
        turns = in_turn(rounds, **{
            "index": lambda: generate("messages", index.port, parked, samples),
            "peerjs": lambda: generate("relay", peerjs.port, parked, samples),
            "trip": lambda: generate("trips", bare.port, samples, 1),
            "two trips": lambda: generate("trips", bare.port, samples, 2),
        })
    return {server: [told["took_us"] for told in turn] for server, turn in turns.items()}


def main():
    bench = Bench("messages", __doc__)
    bench.option("--parked", type=int, nargs="+", default=[1, 100, 1000, 10000])
    bench.option("--samples", type=int, default=300, help="messages in a turn")
    arguments = bench.parse()
    table = bench.table(
        "messages", "From a sender to a reader that waits", parked="parked", server="server",
        p50_us="p50 us", p99_us="p99 us", trips="x trip", range="of the rounds",
        faster="it / index")
    medians = {}
    for parked in arguments.parked:
        turns = measure(parked, arguments.rounds, arguments.samples)
        halves = {server: [percentile(took, 0.5) for took in turn]
                  for server, turn in turns.items()}
        for server, turn in turns.items():
            trips, spread = ratio(halves[server], halves["trip"])
            medians.setdefault(server, []).append(statistics.median(halves[server]))
            table.row(parked=parked, server=server, p50_us=medians[server][-1],
                      p99_us=statistics.median(percentile(took, 0.99) for took in turn),
                      trips=trips, range=spread, faster=ratio(halves[server], halves["index"])[0])
    far = [place for place, parked in enumerate(arguments.parked) if parked >= FAR]
    if len(far) > 1:
        growth = bench.table("growth", f"How that grows, from {FAR:,} on", server="server",
                             exponent="exponent", us="us a 1,000")
        sizes = [arguments.parked[place] for place in far]
        for server in ("index", "peerjs"):
            values = [medians[server][place] for place in far]
            growth.row(server=server, exponent=exponent(sizes, values),
                       us=1000 * (values[-1] - values[0]) / (sizes[-1] - sizes[0]))
    bench.write()


if __name__ == "__main__":
    main()
