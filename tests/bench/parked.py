#!/usr/bin/python3
"""What the index costs at rest: memory and CPU with nothing, and with parked long polls.

Memory is measured after a second round of polls (libmicrohttpd touches a connection's pool whole when
it is used again). Prints a table; with --json FILE writes it there too.
"""

import argparse
import json
import os
import re
import resource
import selectors
import socket
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from tests.lib.http import Client  # noqa: E402
from tests.lib.index import Index  # noqa: E402


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def cpu_share(index, seconds):
    """Of one core, over a span in which nothing happens."""
    before, start = index.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return (index.cpu_s() - before) / (time.monotonic() - start)


class Watchers:
    """Connections that each keep one poll of /list parked."""

    def __init__(self, port, count):
        self.selector = selectors.DefaultSelector()
        for _ in range(count):
            link = socket.create_connection(("127.0.0.1", port))
            self.selector.register(link, selectors.EVENT_READ)

    def ask(self, cursor):
        text = (f"GET /list?since={cursor}&wait=55 HTTP/1.1\r\nHost: localhost\r\n"
                "User-Agent: parked\r\nAccept: application/json\r\n\r\n").encode()
        for key in self.selector.get_map().values():
            key.fileobj.sendall(text)

    def await_all(self, deadline_s=60):
        """Reads one reply of each; gives when the last one came."""
        waiting = {key.fileobj for key in self.selector.get_map().values()}
        end = time.monotonic() + deadline_s
        while waiting:
            assert time.monotonic() < end, f"{len(waiting)} polls were not answered"
            for key, _ in self.selector.select(1):
                assert key.fileobj.recv(65536).startswith(b"HTTP/1.1 200"), "not a success"
                waiting.discard(key.fileobj)
        return time.monotonic()

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def wait_until_parked(index):
    """All that was sent before has been read once a later request is answered twice."""
    client = Client(index)
    for _ in range(20):
        client.get("/healthz")
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", type=int, nargs="+", default=[0, 4000])
    parser.add_argument("--rest", type=float, default=10, help="seconds of rest to measure CPU over")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    rows = []
    print(f"{'polls':>7} {'resident MiB':>13} {'KiB a poll':>11} {'wake all ms':>12} {'CPU %':>7}")
    for polls in arguments.polls:
        with Index("--max-waiters-per-address", "0", "--max-connections-per-address", "0") as index:
            client = Client(index)
            first = resident_kib(index.pid)
            wake_ms = 0
            watchers = Watchers(index.port, polls)
            for turn in range(2):
                reply = client.post("/register", {"id": f"turn-{turn}", "ttl": 7200}).json()
                watchers.ask(reply["cursor"])
                wait_until_parked(index)
                if turn == 0:
                    start = time.monotonic()
                    client.post("/register", {"id": "waker", "ttl": 7200})
                    wake_ms = (watchers.await_all() - start) * 1000 if polls else 0
            resident = resident_kib(index.pid)
            rows.append({
                "polls": polls, "resident_mib": round(resident / 1024, 1),
                "kib_a_poll": round((resident - first) / polls, 2) if polls else 0,
                "wake_all_ms": round(wake_ms, 1),
                "cpu_percent": round(100 * cpu_share(index, arguments.rest), 3)})
            watchers.close()
        print("{polls:>7} {resident_mib:>13} {kib_a_poll:>11} {wake_all_ms:>12} {cpu_percent:>7}"
              .format(**rows[-1]), flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
