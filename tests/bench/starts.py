#!/usr/bin/python3
"""How long a start takes until requests are answered, by how many nodes the database has, and what
the index takes in memory then.

`index` was stopped before; `index, killed` got SIGKILL right after 100 registrations, and finds
what it did not tidy up. `redis` reads its append-only file with as many keys of as many bytes.
Each starts anew in every round, on files that the system has in its cache.
"""

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.report import Bench, in_turn, ratio, resident_kib  # noqa: E402
from tests.bench.lib.rivals import Redis  # noqa: E402
from tests.lib.crowd import register, registration  # noqa: E402
from tests.lib.http import Client  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402

LATE = 100  # registrations before a kill


class KeptRedis(Redis):
    """Starts with the append-only files of another."""

    def __init__(self, kept):
        super().__init__(appending=True)
        self.kept = kept

    def prepare(self):
        if os.path.exists(self.kept):
            shutil.copytree(self.kept, os.path.join(self.folder, "appendonlydir"))


def timed(start):
    began = time.monotonic()
    server = start()
    return server, 1000 * (time.monotonic() - began)


def index_start(db, nodes, late=0):
    """(ms, MiB): of a second start, where it was killed after so many registrations in a first."""
    index = Index(*NO_NODE_CAPS, db=db)
    with contextlib.closing(index):
        if late:
            index.start()
            with contextlib.closing(Client(index)) as client:
                for number in range(late):
                    assert client.post("/register", {"id": f"late-{number}"}).status == 201
            index.kill()
        _, took_ms = timed(index.start)
        with contextlib.closing(Client(index)) as client:
            listed = client.get("/list?limit=1000").json()["nodes"]
        assert len(listed) == min(nodes + late, 1000)
        return took_ms, resident_kib(index.pid) / 1024


def redis_start(kept, nodes):
    with contextlib.ExitStack() as stack:
        redis, took_ms = timed(lambda: stack.enter_context(KeptRedis(kept)))
        assert redis.ask(b"DBSIZE\r\n") == b":%d\r\n" % nodes
        return took_ms, resident_kib(redis.pid) / 1024


def keep_redis(kept, nodes):
    """Each key once, as pipelined commands."""
    value = b"v" * len(registration(0))
    with KeptRedis(kept) as redis:
        for first in range(0, nodes, 1000):
            redis.send_all([b"SET node-%012d %s EX 7200\r\n" % (number, value)
                            for number in range(first, min(first + 1000, nodes))])
        shutil.copytree(os.path.join(redis.folder, "appendonlydir"), kept)


def measure(nodes, rounds):
    with tempfile.TemporaryDirectory(prefix="signpost-bench-") as folder:
        stopped, kept = os.path.join(folder, "stopped.db"), os.path.join(folder, "redis")
        with Index(*NO_NODE_CAPS, db=stopped) as index:
            register(index.port, nodes)
        keep_redis(kept, nodes)

        def killed_start():
            with tempfile.TemporaryDirectory(dir=folder) as copy:
                return index_start(shutil.copy(stopped, copy), nodes, LATE)

        return in_turn(rounds, **{
            "index": lambda: index_start(stopped, nodes),
            "index, killed": killed_start,
            "redis": lambda: redis_start(kept, nodes),
        })


def main():
    bench = Bench("starts", __doc__)
    bench.option("--nodes", type=int, nargs="+", default=[0, 1000, 10000, 100000])
    arguments = bench.parse()
    table = bench.table("starts", "From the start to the first answer", nodes="nodes",
                        server="server", ms="ms", most="most", mib="resident MiB",
                        ratio="index / it", range="of the rounds")
    for nodes in arguments.nodes:
        turns = measure(nodes, arguments.rounds)
        took = {server: [ms for ms, _ in turn] for server, turn in turns.items()}
        for server, turn in turns.items():
            row = {"ms": statistics.median(took[server]), "most": max(took[server]),
                   "mib": statistics.median(mib for _, mib in turn)}
            if server != "index":
                row["ratio"], row["range"] = ratio(took["index"], took[server])
            table.row(nodes=nodes, server=server, **row)
    bench.write()


if __name__ == "__main__":
    main()
