#!/usr/bin/python3
"""What the client library costs: from the registration of one node to the `up` at another, against a
bare request in the same run; memory and CPU of a client at rest, by the size of its table; its size.

The samples of `up` are further apart than the 100 ms in which an index tells one reader of its list
but once. Prints tables; with --json FILE writes them there too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from tests.lib.crowd import register  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402


def measure(program, index, *words):
    done = subprocess.run([program, words[0], f"http://127.0.0.1:{index.port}", *words[1:]],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def library_bytes(build):
    """Stripped, as a distribution ships it."""
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, os.path.join(build, "libsignpost.so")],
                       check=True)
        return os.path.getsize(stripped.name)


def lines(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return len(file.readlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--peers", type=int, nargs="+", default=[0, 10, 100, 10000])
    parser.add_argument("--rest", type=int, default=30, help="seconds of rest to measure CPU over")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    program = os.path.join(arguments.build, "tests", "bench", "client_cost")

    with Index(*NO_NODE_CAPS) as index:
        up = measure(program, index, "up", str(arguments.samples))
    up["ratio"] = round(up["up_p50_ms"] / up["request_p50_ms"], 1)
    print("register to up: p50 {up_p50_ms} ms, p99 {up_p99_ms} ms; a bare request "
          "{request_p50_ms} ms; ratio {ratio}".format(**up), flush=True)

    rows = []
    print(f"{'peers':>7} {'resident KiB':>13} {'CPU %':>8} {'table complete ms':>18}")
    for peers in arguments.peers:
        with Index(*NO_NODE_CAPS) as index:
            register(index.port, peers)
            row = {"peers": peers,
                   **measure(program, index, "rest", str(peers), str(arguments.rest))}
        rows.append(row)
        print("{peers:>7} {resident_kib:>13} {cpu_percent:>8} {complete_ms:>18}".format(**row),
              flush=True)

    size = {"library_bytes": library_bytes(arguments.build),
            "example_lines": lines("client/examples/peers.c")}
    print("stripped library: {library_bytes} bytes; example: {example_lines} lines".format(**size))
    if arguments.json:
        with open(arguments.json, "w", encoding="ascii") as file:
            json.dump({"up": up, "rest": rows, "size": size}, file, indent=2)


if __name__ == "__main__":
    main()
