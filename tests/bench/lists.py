#!/usr/bin/python3
"""How many lists a second, what one costs, and how that grows with the nodes that are here.

- `whole`: everything, in pages of 1,000 nodes, the most there are; a second, CPU and bytes are
  those of the walk through all of them.
- `page`: 100 nodes, another hundred each time.
- `delta`: what changed since a cursor, which is 10 nodes.
- `unchanged`: the list to one who has it, which is 304 and no body.

`bare` is libmicrohttpd in the same loop with a constant body of the same size for as many requests.
The two take turns over several rounds in one run, over 64 connections without pipelining. p50 is
that of one reply.
"""

import contextlib
import dataclasses
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.load import Requests, http, wrk  # noqa: E402
from tests.bench.lib.report import Bench, exponent, in_turn, ratio  # noqa: E402
from tests.bench.lib.rivals import Bare  # noqa: E402
from tests.lib.crowd import register, token  # noqa: E402
from tests.lib.http import Client, url  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402

WHOLE_LIMIT, PAGE_LIMIT, CHANGES = 1000, 100, 10

COLUMNS = {
    "nodes": "nodes", "what": "list", "pages": "pages", "per_s": "a second", "p50_ms": "p50 ms",
    "cpu_us": "CPU us", "bytes": "bytes", "mb_per_s": "MB a second", "bare_per_s": "bare a second",
    "ratio": "index / bare", "range": "of the rounds", "cpu_ratio": "CPU bare / index",
}


@dataclasses.dataclass
class Kind:
    """What is asked for: requests that are sent again and again, the bytes of the body of a reply,
    and how many replies are one list."""

    requests: list
    body_bytes: int
    pages: int = 1


def walk(client, limit):
    """The requests for all pages, and the bytes of their bodies."""
    requests, sizes, after, more = [], [], None, True
    while more:
        target = url("/list", limit=limit, after=after)
        reply = client.get(target)
        requests.append(http("GET", target))
        sizes.append(len(reply.body))
        more, after = reply["more"], reply.json().get("after")
    return requests, round(statistics.mean(sizes))


def kinds(client, nodes):
    whole, whole_bytes = walk(client, WHOLE_LIMIT)
    pages, page_bytes = walk(client, PAGE_LIMIT)
    first = client.get("/list")
    for number in range(min(nodes, CHANGES)):
        client.post("/heartbeat", {"meta": {"role": "worker"}}, token=token(number))
    since = url("/list", since=first["cursor"])
    delta = client.get(since)
    assert len(delta["nodes"]) == min(nodes, CHANGES), delta
    known = f"If-None-Match: {client.get('/list').headers['ETag']}"
    return {
        "whole": Kind(whole, whole_bytes, len(whole)),
        "page": Kind(pages, page_bytes),
        "delta": Kind([http("GET", since)], len(delta.body)),
        "unchanged": Kind([http("GET", "/list", headers=[known])], 0),
    }


def measure(index, kind, rounds, seconds):
    """The Samples of whole lists, of the index and of `bare`."""
    with contextlib.ExitStack() as stack:
        bare = stack.enter_context(Bare(kind.body_bytes))
        requests = stack.enter_context(Requests(kind.requests))
        samples = in_turn(rounds, index=lambda: wrk(index, requests, seconds),
                          bare=lambda: wrk(bare, requests, seconds))
    return [[dataclasses.replace(turn, per_s=turn.per_s / kind.pages,
                                 cpu_us=turn.cpu_us * kind.pages) for turn in samples[server]]
            for server in ("index", "bare")]


def median(turns, field):
    return statistics.median(getattr(turn, field) for turn in turns)


def row(ours, theirs):
    per_s, bytes_per_s = median(ours, "per_s"), median(ours, "bytes_per_s")
    share, span = ratio([turn.per_s for turn in ours], [turn.per_s for turn in theirs])
    cpu_share, _ = ratio([turn.cpu_us for turn in theirs], [turn.cpu_us for turn in ours])
    return {
        "per_s": per_s, "p50_ms": median(ours, "p50_ms"), "cpu_us": median(ours, "cpu_us"),
        "bytes": round(bytes_per_s / per_s), "mb_per_s": bytes_per_s / 1e6,
        "bare_per_s": median(theirs, "per_s"), "ratio": share, "range": span,
        "cpu_ratio": cpu_share,
    }


def growth(bench, rows):
    """Exponents, of the sizes at which every page is full."""
    rows = [row for row in rows if row["nodes"] >= WHOLE_LIMIT]
    if len({row["nodes"] for row in rows}) < 2:
        return
    table = bench.table(
        "growth", f"Growth from {WHOLE_LIMIT:,} nodes on, as an exponent: 0 stays, 1 grows in step",
        what="list", cpu="CPU", bytes="bytes")
    for what in dict.fromkeys(row["what"] for row in rows):
        of_kind = [row for row in rows if row["what"] == what]
        sizes = [row["nodes"] for row in of_kind]
        table.row(what=what, **{
            name: float(exponent(sizes, [row[column] for row in of_kind]))
            for name, column in (("cpu", "cpu_us"), ("bytes", "bytes"))})


def main():
    bench = Bench("lists", __doc__)
    bench.option("--nodes", type=int, nargs="+", default=[10, 100, 1000, 10000, 100000])
    bench.option("--seconds", type=int, default=1, help="how long a turn takes")
    arguments = bench.parse()
    table = bench.table("lists", "Lists", **COLUMNS)
    for nodes in arguments.nodes:
        with Index(*NO_NODE_CAPS) as index:
            register(index.port, nodes)
            for what, kind in kinds(Client(index), nodes).items():
                table.row(nodes=nodes, what=what, pages=kind.pages,
                          **row(*measure(index, kind, arguments.rounds, arguments.seconds)))
    growth(bench, table.rows)
    bench.write()


if __name__ == "__main__":
    main()
