#!/usr/bin/python3
"""What the client library costs: from the registration of one node to the `up` at another, next to a
bare request in the same run; memory and CPU of a client at rest, by the size of its table; its size.

The samples of `up` are further apart than the 100 ms in which an index tells one reader of its list
but once.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.report import Bench, ROOT, exponent, program, ratio  # noqa: E402
from tests.lib.crowd import register  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402

LIBRARY = os.path.join(ROOT, "build", "libsignpost.so")


def measure(index, *words):
    done = subprocess.run(
        [program("client_cost"), words[0], f"http://127.0.0.1:{index.port}",
         *map(str, words[1:])], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def stripped_kib(path):
    """As a distribution ships it."""
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, path], check=True)
        return os.path.getsize(stripped.name) / 1024


def meet(bench, rounds, samples):
    table = bench.table("up", "From the registration of one to the `up` at another", what="what",
                        p50_ms="p50 ms", p99_ms="p99 ms", ratio="x request",
                        range="of the rounds")
    turns = []
    for _ in range(rounds):
        with Index(*NO_NODE_CAPS) as index:
            turns.append(measure(index, "up", samples))
    times, spread = ratio([turn["up_p50_ms"] for turn in turns],
                          [turn["request_p50_ms"] for turn in turns])
    table.row(what="up", ratio=times, range=spread, **{
        name: statistics.median(turn["up_" + name] for turn in turns)
        for name in ("p50_ms", "p99_ms")})
    table.row(what="request", p50_ms=statistics.median(turn["request_p50_ms"] for turn in turns))


def rest(bench, sizes, seconds):
    table = bench.table("rest", "A client at rest", peers="peers", resident_kib="resident KiB",
                        cpu_percent="CPU %", complete_ms="table complete ms")
    for peers in sizes:
        with Index(*NO_NODE_CAPS) as index:
            register(index.port, peers)
            table.row(peers=peers, **measure(index, "rest", peers, seconds))
    least = min(row["resident_kib"] for row in table.rows)
    many = [row for row in table.rows if row["peers"] >= 1000]
    if len(many) > 1:
        growth = bench.table("growth", "How its memory grows, from 1,000 peers on",
                             exponent="exponent", kib="KiB a peer")
        growth.row(
            exponent=exponent([row["peers"] for row in many],
                              [row["resident_kib"] - least for row in many]),
            kib=(many[-1]["resident_kib"] - least) / many[-1]["peers"])


def main():
    bench = Bench("client_cost", __doc__)
    bench.option("--samples", type=int, default=40, help="nodes that come, in a round")
    bench.option("--peers", type=int, nargs="+", default=[0, 10, 100, 1000, 10000])
    bench.option("--rest", type=int, default=15, help="seconds of rest to measure CPU over")
    arguments = bench.parse()
    meet(bench, arguments.rounds, arguments.samples)
    rest(bench, arguments.peers, arguments.rest)
    size = bench.table("size", "The shared library, stripped", kib="KiB")
    size.row(kib=stripped_kib(LIBRARY))
    bench.write()


if __name__ == "__main__":
    main()
