#!/usr/bin/python3
"""How long until a change of the list is known to everybody who watches, and what that and the
waiting cost: CPU, bytes, memory.

Each watcher is a connection with a parked poll of the list; another connection registers a node,
and the time begins with that request. `bare` is the yardstick: libmicrohttpd in the index's own
loop, which as many connections ask at once for a constant reply of the same size. It is told of
each of them by a request, the index by one for all. Memory is that after the polls have been parked
anew: libmicrohttpd touches a connection's pool whole when it is used again.
"""

import contextlib
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.generator import generate, staying  # noqa: E402
from tests.bench.lib.report import Bench, exponent, in_turn, ratio, resident_kib  # noqa: E402
from tests.bench.lib.rivals import Bare  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS, NO_POLL_CAPS  # noqa: E402

REPLY_BYTES = 346  # so that with its head it is as long as what a watcher gets of one node
TIMES = ("first", "median", "last")


def index_for_many():
    return Index(*NO_NODE_CAPS, *NO_POLL_CAPS)


def fan_out(watchers, rounds, changes):
    """{server: [what the generator told of each round]}."""
    with index_for_many() as index, Bare(REPLY_BYTES) as bare:
        return in_turn(rounds, **{
            "index": lambda: generate("watchers", index.port, index.pid, watchers, changes),
            "bare": lambda: generate("served", bare.port, bare.pid, watchers, changes),
        })


def medians(turns, name):
    return [statistics.median(told[name]) for told in turns]


def compare(table, watchers, turns):
    last = {server: medians(turn, "last_us") for server, turn in turns.items()}
    for server, turn in turns.items():
        times, spread = ratio(last["index"], last[server])
        table.row(
            watchers=watchers, server=server,
            **{name: statistics.median(medians(turn, name + "_us")) / 1000 for name in TIMES},
            cpu=statistics.median(medians(turn, "cpu_us")) / 1000,
            cpu_each=statistics.median(medians(turn, "cpu_us")) / watchers,
            bytes=statistics.median(medians(turn, "bytes")) / watchers,
            ratio=times, range=spread)
    return statistics.median(last["index"])


def wait(table, watchers, seconds):
    """A row of what the polls take while nothing happens."""
    with contextlib.ExitStack() as stack:
        index = stack.enter_context(index_for_many())
        before = resident_kib(index.pid)
        if watchers:
            stack.enter_context(staying("watchers", index.port, index.pid, watchers, 2))
        cpu_s, start = index.cpu_s(), time.monotonic()
        time.sleep(seconds)
        share = (index.cpu_s() - cpu_s) / (time.monotonic() - start)
        resident = resident_kib(index.pid)
    table.row(watchers=watchers, resident=resident / 1024, cpu=100 * share,
              each=(resident - before) / watchers if watchers else None)


def main():
    bench = Bench("fanout", __doc__)
    bench.option("--watchers", type=int, nargs="+", default=[10, 100, 1000, 10000])
    bench.option("--changes", type=int, default=3, help="changes in a turn")
    bench.option("--rest", type=float, default=12,
                 help="seconds to measure CPU at rest over; memory is that at their end")
    arguments = bench.parse()
    table = bench.table(
        "fanout", "From a change to those who watch", watchers="watchers", server="server",
        first="first ms", median="median ms", last="last ms", cpu="CPU ms", cpu_each="CPU us each",
        bytes="bytes each", ratio="index / it", range="of the rounds")
    last_us = [compare(table, watchers, fan_out(watchers, arguments.rounds, arguments.changes))
               for watchers in arguments.watchers]
    if len(last_us) > 1:
        growth = bench.table("growth", "How the time to the last grows", exponent="exponent")
        growth.row(exponent=exponent(arguments.watchers, last_us))
    table = bench.table("waiting", "What parked polls take", watchers="watchers",
                        resident="resident MiB", each="KiB each", cpu="CPU %")
    for watchers in [0, *arguments.watchers]:
        wait(table, watchers, arguments.rest)
    bench.write()


if __name__ == "__main__":
    main()
