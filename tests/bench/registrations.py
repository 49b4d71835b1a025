#!/usr/bin/python3
"""How many registrations a second, and what one costs: of new nodes, and of nodes that come back.

A registration is committed to the database before it is answered. Beside it are `bare`, which is
libmicrohttpd in the same loop with a constant reply, and `redis`, which sets as many bytes with an
expiry: in memory alone, and with a file that is synced once a second. As the index does by default,
the latter keeps what it answered when it is killed, and may lose the last moment with the power.

All take turns over several rounds in one run, over 64 connections without pipelining. New nodes
come to an index that has `nodes` already, the same number each round; those that come back are all
of `nodes`, in turn, and say what they said before.
"""

import contextlib
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.load import (  # noqa: E402
    COLUMNS, Numbered, Requests, compare, http, redis_set, wrk)
from tests.bench.lib.report import Bench, in_turn  # noqa: E402
from tests.bench.lib.rivals import Bare, Redis  # noqa: E402
from tests.lib.crowd import register, registration, token  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402

KEYS_OF_NEW = 10**9  # so many that redis hardly ever sets one twice


def value():
    """As many bytes for redis as the index is given."""
    return "v" * len(registration(0))


def newcomer():
    """A registration whose number is left open; the token has a last letter that is no digit, since
    two of its bits have to be 0."""
    body = registration(0).replace(b"node-0", b"node-\0").replace(
        token(0).encode(), b"n" * 30 + b"\0" + b"A")
    return http("POST", "/register", body).replace(
        b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) + 2 * 11))


def come_back(nodes, rounds, seconds):
    with contextlib.ExitStack() as stack:
        begin = stack.enter_context
        index, bare, redis, appending = map(
            begin, (Index(*NO_NODE_CAPS), Bare(), Redis(), Redis(appending=True)))
        requests = begin(Requests(http("POST", "/register", registration(number))
                                  for number in range(nodes)))
        register(index.port, nodes)
        for store in (redis, appending):
            store.fill(nodes, value())
        return in_turn(rounds, **{
            "index": lambda: wrk(index, requests, seconds),
            "bare": lambda: wrk(bare, requests, seconds),
            "redis": lambda: redis_set(redis, nodes, value(), seconds),
            "redis, appending": lambda: redis_set(appending, nodes, value(), seconds),
        })


def come(nodes, rounds, seconds):
    with contextlib.ExitStack() as stack:
        begin = stack.enter_context
        folder = begin(tempfile.TemporaryDirectory(prefix="signpost-bench-"))
        before = os.path.join(folder, "before.db")
        with Index(*NO_NODE_CAPS, db=before) as index:
            register(index.port, nodes)
        bare, redis, appending = map(begin, (Bare(), Redis(), Redis(appending=True)))
        requests = begin(Numbered(newcomer()))

        def index_turn():
            with tempfile.TemporaryDirectory(dir=folder) as copy:
                db = shutil.copy(before, copy)
                with Index(*NO_NODE_CAPS, db=db) as index:
                    return wrk(index, requests, seconds)

        def redis_turn(store):
            store.clear()
            if nodes:
                store.fill(nodes, value())
            return redis_set(store, KEYS_OF_NEW, value(), seconds)

        return in_turn(rounds, **{
            "index": index_turn,
            "bare": lambda: wrk(bare, requests, seconds),
            "redis": lambda: redis_turn(redis),
            "redis, appending": lambda: redis_turn(appending),
        })


def main():
    bench = Bench("registrations", __doc__)
    bench.option("--nodes", type=int, nargs="+", default=[10, 1000, 100000])
    bench.option("--seconds", type=int, default=1, help="how long a turn takes")
    arguments = bench.parse()
    for name, title, measure in (("new", "New nodes", come),
                                 ("renewals", "Nodes that come back", come_back)):
        table = bench.table(name, title, nodes="nodes", **COLUMNS)
        for nodes in arguments.nodes:
            compare(table, measure(nodes, arguments.rounds, arguments.seconds), nodes=nodes)
    bench.write()


if __name__ == "__main__":
    main()
