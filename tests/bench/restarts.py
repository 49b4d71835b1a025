#!/usr/bin/python3
"""Does the simulation of scaling.py tell what a real restart does?

So many real clients (`client_herd`, one process) are at rest at a real index, which goes away for
a while and comes back, with its database or without. Measured is when each client had the index
again, and what that took of a processor; predicted is what `lib/herd.py` says of the same. `rest`
is a poll by itself: where few come, each has a pass over the sockets of its own, and one more at
its end.
"""

import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib.arithmetic import Profile, signs_per_s  # noqa: E402
from tests.bench.lib.assumptions import read  # noqa: E402
from tests.bench.lib.herd import Case, Herd  # noqa: E402
from tests.bench.lib.report import Bench, percentile, program  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402
from tests.lib.nginx import free_port  # noqa: E402

CAPS = (*NO_NODE_CAPS, "--max-waiters-per-address", "0", "--max-connections-per-address", "0")
SPREAD_MS = 20000  # as polls of up to 20 s are after a while
LATEST_S = 60

# kind, seconds without an index, nodes of a network (0: all in one)
CASES = (("restart", 1, 10), ("restart", 10, 10), ("empty", 10, 10), ("empty", 10, 0))


class Crowd:
    """The clients, and when each got ready last."""

    def __init__(self, port, nodes, nodes_of_network):
        self._process = subprocess.Popen(
            [program("client_herd"), f"http://127.0.0.1:{port}", str(nodes),
             str(nodes_of_network or nodes), str(SPREAD_MS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._nodes = nodes
        self._changed = threading.Condition()
        self._ready_s = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            when, number, ready = line.split()
            with self._changed:
                if ready == "1":
                    self._ready_s[number] = float(when)
                else:
                    self._ready_s.pop(number, None)
                self._changed.notify_all()

    def wait_until(self, ready):
        """Until so many are; gives when each got so, in seconds of the monotonic clock."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._ready_s) == ready, LATEST_S)
            assert came, f"{len(self._ready_s)} of {self._nodes} clients are ready, not {ready}"
            return list(self._ready_s.values())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()


def new_index(port):
    return Index(*CAPS, listen=(f"127.0.0.1:{port}",))


def measure(nodes, kind, outage_s, nodes_of_network):
    """When each was back, in seconds after the start, and the index's CPU until then."""
    port = free_port()
    first, second = new_index(port), new_index(port)
    try:
        first.start()
        with Crowd(port, nodes, nodes_of_network) as crowd:
            crowd.wait_until(nodes)
            assert first.stop() == 0
            crowd.wait_until(0)
            time.sleep(outage_s)  # this is what is measured, and not a wait for something
            index = first if kind == "restart" else second
            index.start()
            start = time.monotonic()
            back = [max(0, when - start) for when in crowd.wait_until(nodes)]
            return back, index.cpu_s()
    finally:
        first.close()
        second.close()


def rest(nodes, seconds, numbers):
    """CPU of a poll that comes alone, in microseconds."""
    with new_index(free_port()) as index, Crowd(index.port, nodes, 10) as crowd:
        crowd.wait_until(nodes)
        before, polls = index.cpu_s(), nodes * seconds * signs_per_s(Profile(""), numbers)
        time.sleep(seconds)
        return 1e6 * (index.cpu_s() - before) / polls


def main():
    bench = Bench("restarts", __doc__)
    bench.option("--nodes", type=int, default=1000)
    bench.option("--seconds", type=int, default=20, help="how long is measured at rest")
    arguments = bench.parse()
    numbers = read([])

    table = bench.table("rest", "At rest", nodes="nodes", poll_us="CPU us of a poll",
                        pass_us="of a pass")
    poll_us = rest(arguments.nodes, arguments.seconds, numbers)
    table.row(nodes=arguments.nodes, poll_us=poll_us, pass_us=(poll_us - numbers["poll_us"]) / 2)

    table = bench.table("restarts", f"{arguments.nodes:,} clients come back, measured / predicted",
                        kind="kind", outage_s="away s", network="of a network", median="median s",
                        p99="p99 s", all="all s", cpu="CPU s")
    for kind, outage_s, size in CASES:
        back, cpu_s = measure(arguments.nodes, kind, outage_s, size)
        told = Herd(Case(arguments.nodes, outage_s, kind, size), numbers).run()
        found = {"median": (percentile(back, 0.5), told["median_s"]),
                 "p99": (percentile(back, 0.99), told["p99_s"]), "all": (max(back), told["all_s"]),
                 "cpu": (cpu_s, told["work_back_s"])}
        table.row(kind=kind, outage_s=outage_s, network=size or "all",
                  **{name: "{:.1f} / {:.1f}".format(*both) for name, both in found.items()},
                  **{f"{name}_s": both for name, both in found.items()})
    bench.write()


if __name__ == "__main__":
    main()
