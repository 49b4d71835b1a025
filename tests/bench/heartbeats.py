#!/usr/bin/python3
"""Heartbeats a second, as a share of what bare libmicrohttpd does in the same loop, pool and pump.

The two take turns over several rounds in one run, driven by wrk over 64 connections; what counts is
the median of the ratios. Prints a table; with --json FILE writes it there too.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from tests.lib.crowd import register, token  # noqa: E402
from tests.lib.index import Index, NO_NODE_CAPS  # noqa: E402

WRK_SCRIPT = """
local requests, at = {}, 0
for token in io.lines("%s") do
  requests[#requests + 1] = "POST /heartbeat HTTP/1.1\\r\\nHost: localhost\\r\\n" ..
    "Authorization: Bearer " .. token .. "\\r\\nContent-Type: application/json\\r\\n" ..
    "Content-Length: 2\\r\\n\\r\\n{}"
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
"""


def load(port, script, seconds):
    """Requests a second; every one of them must have succeeded."""
    done = subprocess.run(
        ["wrk", "-t1", "-c64", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{port}"],
        capture_output=True, text=True, check=True)
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))


def measure(nodes, rounds, seconds, bare_port):
    with Index(*NO_NODE_CAPS) as index, \
            tempfile.TemporaryDirectory() as folder:
        tokens, script = os.path.join(folder, "tokens"), os.path.join(folder, "wrk.lua")
        with open(tokens, "w", encoding="ascii") as file:
            file.writelines(token(number) + "\n" for number in range(nodes))
        with open(script, "w", encoding="ascii") as file:
            file.write(WRK_SCRIPT % tokens)
        register(index.port, nodes)
        pairs = [(load(bare_port, script, seconds), load(index.port, script, seconds))
                 for _ in range(rounds)]
    return {
        "nodes": nodes,
        "bare_per_s": round(statistics.median(bare for bare, _ in pairs)),
        "index_per_s": round(statistics.median(ours for _, ours in pairs)),
        "ratio": round(statistics.median(ours / bare for bare, ours in pairs), 3),
        "ratios": [round(ours / bare, 3) for bare, ours in pairs],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bare", default=os.path.join(ROOT, "build", "tests", "bench", "bare"))
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 1000, 100000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with subprocess.Popen([arguments.bare], stdout=subprocess.PIPE, text=True) as bare:
        try:
            port = int(bare.stdout.readline())
            rows = []
            print(f"{'nodes':>8} {'bare /s':>10} {'index /s':>10} {'ratio':>7}")
            for nodes in arguments.nodes:
                row = measure(nodes, arguments.rounds, arguments.seconds, port)
                rows.append(row)
                print(f"{nodes:>8} {row['bare_per_s']:>10} {row['index_per_s']:>10} "
                      f"{row['ratio']:>7}", flush=True)
        finally:
            bare.terminate()
    if arguments.json:
        with open(arguments.json, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
