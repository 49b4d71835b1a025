#!/usr/bin/python3
"""Beyond one machine: what many nodes cost, what limits one index, and how herds come back to it.

Arithmetic (`lib/arithmetic.py`) and a simulation (`lib/herd.py`) that go out from the numbers of
`lib/assumptions.py`; --measured FILE... takes results of the other measurements instead, or a JSON
object of such numbers. Nothing is measured here, so it says the same each time. --write puts the
tables into docs/scaling.md and the pictures into docs/plots. Takes a minute.
"""

import argparse
import json
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.lib import arithmetic  # noqa: E402
from tests.bench.lib.arithmetic import (  # noqa: E402
    MILLION, Profile, cost, fan_out, fullest, limits)
from tests.bench.lib.assumptions import KNOWN, read  # noqa: E402
from tests.bench.lib.document import draw, fill, markdown  # noqa: E402
from tests.bench.lib.herd import GIVE_UP_S, NO_JITTER, Case, Herd, Rules  # noqa: E402
from tests.bench.lib.plot import line_chart  # noqa: E402
from tests.bench.lib.report import RESULTS, Table, show  # noqa: E402

MIB = 2**20

POLLS = Profile("long polls, networks of 10")
LARGE = Profile("long polls, networks of 1,000", network_nodes=1000)
ONE = Profile("long polls, all in one network", network_nodes=0)
BEATS = Profile("heartbeats only", polls=False)
PROXIED = Profile("heartbeats only, behind a proxy", polls=False, proxied=True)

HERD = {"median_s": "median s", "p99_s": "99 % s", "all_s": "all s", "peak_per_s": "peak a second",
        "later_per_s": "later a second", "refused": "refused", "dropped": "not let in",
        "expired": "expired"}
ALIKE = ("polls all wait the same", Rules(poll_spread=False))
CHANGES = (
    ("restart, 1 s", ALIKE, {"outage_s": 1}),
    ("database lost, 60 s", ("`unknown_node` backs off once more", Rules(register_soon=False)),
     {"outage_s": 60, "kind": "empty"}),
    ("heartbeats, TLS, 60 s", ("heartbeats do not back off", Rules(beats_back_off=False)),
     {"outage_s": 60, "client": "beats", "tls": True}),
    ("default caps, 10 s", ("up to 5 s past Retry-After", Rules(retry_spread=5)),
     {"outage_s": 10, "capped": True, "nodes": 40000}),
)


class Scaling:
    def __init__(self, numbers):
        self.numbers = numbers
        self.tables = {}
        self.pictures = {}

    def table(self, name, title, **columns):
        self.tables[name] = Table(title, columns)
        return self.tables[name]

    def herd(self, *words, **more):
        herd = Herd(Case(*words, **more), self.numbers)
        return herd, herd.run()

    # --- arithmetic -----------------------------------------------------------------------------

    def costs(self):
        table = self.table("cost", "What nodes cost, each changing once an hour", profile="nodes",
                           nodes="how many", requests="requests a second", cores="cores",
                           memory="memory MiB", disk="disk MiB", out="MB out a second")
        for profile in (POLLS, LARGE, BEATS, PROXIED):
            for nodes in (1000, 10000, 100000, MILLION):
                found = cost(profile, nodes, self.numbers)
                table.row(profile=profile.name, nodes=nodes,
                          requests=round(found["requests_per_s"]), cores=found["cores"],
                          memory=round(found["memory"] / MIB), disk=found["disk"] / MIB,
                          out=found["bytes_per_s"] / 1e6)

    def fan_outs(self):
        table = self.table("fan_out", f"{MILLION:,} nodes that all watch, by the size of their "
                           "networks", network="nodes of a network",
                           changes="changes an hour, each", told="changes a second told to one",
                           replies="replies a second", cores="cores", out="MB out a second")
        lines = {}
        for an_hour in (0.1, 1, 10):
            for size in (10, 100, 1000, 10000, 50000):
                profile = Profile("", network_nodes=size, changes_an_hour=an_hour)
                found = cost(profile, MILLION, self.numbers)
                changes, replies = fan_out(size, an_hour, self.numbers)
                table.row(network=size, changes=an_hour, told=changes,
                          replies=round(MILLION * replies), cores=found["cores_together"],
                          out=found["bytes_per_s"] / 1e6)
                lines.setdefault(f"{an_hour:g} an hour", []).append(
                    (size, found["bytes_per_s"] / 1e6))
        self.pictures["scaling-fan-out"] = line_chart(
            "What 1M nodes are told, by changes of each", "nodes of a network",
            "MB a second, of all indexes", lines)

    def pods(self):
        table = self.table("pod", "How many nodes one index takes until each of its resources is "
                           "used up", profile="nodes", **{f"limit{place}": f"{place}." for place in
                                                          range(1, 5)})
        for profile in (POLLS, LARGE, ONE, BEATS, PROXIED):
            found = list(limits(profile, self.numbers).items())
            table.row(profile=profile.name, limits=dict(found), **{
                f"limit{place}": f"{arithmetic.round_down(most):,}: {name}"
                for place, (name, most) in enumerate(found[:4], 1)})

    def shares(self):
        table = self.table("shares", "Networks dealt to indexes by a hash of their names",
                           networks="networks", indexes="indexes", fullest="fullest / even share")
        for networks in (100, 1000, 10000, 100000):
            for indexes in (10, 50):
                table.row(networks=networks, indexes=indexes, fullest=fullest(networks, indexes))

    # --- herds ----------------------------------------------------------------------------------

    def restarts(self):
        table = self.table("restart", "An index goes away and comes back with its data",
                           nodes="nodes", outage_s="away s", **HERD, without="all s, no jitter",
                           without_expired="expired, no jitter")
        for nodes in (1000, 10000, 100000, MILLION):
            for outage_s in (1, 10, 60, 600):
                _, found = self.herd(nodes, outage_s)
                _, without = self.herd(nodes, outage_s, rules=NO_JITTER)
                table.row(nodes=nodes, outage_s=outage_s, **late(found),
                          without=late(without)["all_s"], without_expired=without["expired"])

    def kinds(self):
        table = self.table("kinds", "What was lost, and how that is said: away for 60 s",
                           nodes="nodes", what="what", **HERD)
        for what, words in {
                "restart": {}, "restart, TLS": {"tls": True},
                "database lost": {"kind": "empty"},
                "network cut": {"kind": "cut"},
                "heartbeats only": {"client": "beats"},
                "restart, default caps": {"capped": True},
                "database lost, one network": {"kind": "empty", "nodes_of_network": 0}}.items():
            for nodes in (1000, 10000, 20000, 100000):
                _, found = self.herd(nodes, 60, **words)
                table.row(nodes=nodes, what=what, **late(found))

    def cuts(self):
        table = self.table("cuts", "100,000 nodes whose network is cut, by how long",
                           outage_s="cut s", **HERD)
        for outage_s in (1, 10, 20, 30, 60, 600):
            _, found = self.herd(100000, outage_s, "cut")
            table.row(outage_s=outage_s, **late(found))

    def sharded(self):
        table = self.table("sharded", f"{MILLION:,} nodes over several indexes, all restarted at "
                           "once, away for 10 s, their TLS their own", indexes="indexes",
                           nodes="nodes of each", **HERD)
        for indexes in (1, 10, 20, 50, 100):
            _, found = self.herd(MILLION // indexes, 10, tls=True)
            table.row(indexes=indexes, nodes=MILLION // indexes, **late(found))

    def changed(self):
        table = self.table("changed", "What the rules are worth", what="case", nodes="nodes",
                           rules="rules", **HERD)
        for what, rules, words in CHANGES:
            for name, chosen in (("as they are", Rules()), rules):
                case = Case(**{"nodes": 20000, **words, "rules": chosen})
                found = Herd(case, self.numbers).run()
                table.row(what=what, nodes=case.nodes, rules=name, **late(found))

    def pictures_of_herds(self):
        lines = {}
        for name, words in {"jitter": {}, "jitter, TLS": {"tls": True},
                            "no jitter": {"rules": NO_JITTER}}.items():
            for nodes in (1000, 3000, 10000, 30000, 100000, 300000, MILLION):
                _, found = self.herd(nodes, 60, **words)
                if found["all_s"] < math.inf:
                    lines.setdefault(name, []).append((nodes, found["all_s"]))
        self.pictures["scaling-back"] = line_chart(
            f"Until all are back after 60 s (within {GIVE_UP_S} s)", "nodes", "seconds", lines)
        lines = {}
        for name, rules in (("as it is", Rules()), ALIKE):
            herd, _ = self.herd(20000, 1, rules=rules)
            lines[name] = [(at, rate / 1000) for at, rate in herd.rates()[:601:10]]
        self.pictures["scaling-echo"] = line_chart(
            "20,000 nodes after a restart of 1 s", "seconds after it", "thousand requests a second",
            lines, log_x=False, log_y=False)

    def run(self):
        for step in (self.costs, self.fan_outs, self.pods, self.shares, self.restarts, self.kinds,
                     self.cuts, self.sharded, self.changed, self.pictures_of_herds):
            step()


def late(found):
    """A time that did not come becomes words."""
    return {name: f"> {GIVE_UP_S}" if value == math.inf else value
            for name, value in found.items()}


def assumed(numbers):
    lines = ["| name | value | from |", "|---|---|---|"]
    for name, (value, source) in KNOWN.items():
        source = source if numbers[name] == value else "measured"
        lines.append(f"| `{name}` | {show(numbers[name])} | {source} |")
    return "\n".join(lines)


def write(scaling):
    tables = {name: markdown(table.columns, table.rows)
              for name, table in scaling.tables.items()}
    fill("scaling.md", {**tables, "assumptions": assumed(scaling.numbers)})
    draw(scaling.pictures)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured", nargs="+", default=[], metavar="FILE",
                        help="JSON with numbers in place of the assumptions")
    parser.add_argument("--json", default=os.path.join(RESULTS, "scaling.json"),
                        help="where the result is written too, default: %(default)s")
    parser.add_argument("--write", action="store_true",
                        help="write docs/scaling.md and the pictures anew")
    arguments = parser.parse_args()
    scaling = Scaling(read(arguments.measured))
    scaling.run()
    os.makedirs(os.path.dirname(os.path.abspath(arguments.json)), exist_ok=True)
    with open(arguments.json, "w", encoding="utf-8") as file:
        json.dump({"name": "scaling", "assumptions": scaling.numbers,
                   "tables": {name: vars(table) for name, table in scaling.tables.items()}},
                  file, indent=1)
        file.write("\n")
    if arguments.write:
        write(scaling)


if __name__ == "__main__":
    main()
