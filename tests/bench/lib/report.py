"""What every measurement shares: its options, rounds in turn, tables on the screen, and JSON."""

import argparse
import glob
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
RESULTS = os.path.join(ROOT, "build", "bench")
PACKAGES = ("libmicrohttpd12", "libsqlite3-0", "libjansson4", "libuv1", "libgnutls30", "wrk",
            "redis-server", "opentracker", "nodejs")


def program(name):
    """A C program of tests/bench."""
    return os.path.join(ROOT, "build", "tests", "bench", name)


class Bench:
    """One question: `parse`, then `table` and its rows, then `write`."""

    def __init__(self, name, doc):
        self.name = name
        self.question = " ".join(doc.split("\n\n", maxsplit=1)[0].split())
        self.parser = argparse.ArgumentParser(description=doc)
        self.parser.add_argument("--rounds", type=int, default=5,
                                 help="how often each takes its turn; the median counts")
        self.parser.add_argument("--json", default=os.path.join(RESULTS, name + ".json"),
                                 help="where the result is written too, default: %(default)s")
        self.tables = {}

    def option(self, *names, **words):
        self.parser.add_argument(*names, **words)

    def parse(self):
        """Also lets the servers to come have as many connections as the system allows."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.arguments = self.parser.parse_args()
        self.machine = machine()
        return self.arguments

    def table(self, name, title, **columns):
        """`columns`: heading by the name of the value in a row."""
        self.tables[name] = Table(title, columns)
        return self.tables[name]

    def write(self):
        os.makedirs(os.path.dirname(os.path.abspath(self.arguments.json)), exist_ok=True)
        with open(self.arguments.json, "w", encoding="utf-8") as file:
            json.dump({
                "name": self.name, "question": self.question, "machine": self.machine,
                "rounds": self.arguments.rounds,
                "tables": {name: vars(table) for name, table in self.tables.items()},
            }, file, indent=1)
            file.write("\n")


class Table:
    """Rows are printed as they come."""

    def __init__(self, title, columns):
        self.title = title
        self.columns = columns
        self.rows = []
        print(f"\n{title}")
        print(" ".join(heading.rjust(self._width(name)) for name, heading in columns.items()))

    def _width(self, name):
        return max(10, len(self.columns[name]))

    def row(self, **values):
        """A column that is not told is shown empty; a value without a column only goes to JSON."""
        self.rows.append(values)
        print(" ".join(show(values.get(name)).rjust(self._width(name)) for name in self.columns),
              flush=True)


def show(value):
    """Three digits that count; whole numbers with commas, as they are."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}"


def in_turn(rounds, **measures):
    """Each measure once a round, every round in another order; a list of results for each."""
    names = list(measures)
    results = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            results[name].append(measures[name]())
    return results


def ratio(ours, theirs):
    """Median over the rounds, and the least and the greatest, as two texts."""
    ratios = sorted(mine / other for mine, other in zip(ours, theirs))
    return statistics.median(ratios), f"{ratios[0]:.2f}–{ratios[-1]:.2f}"


def percentile(samples, share):
    """`share` of 0 to 1; the sample that so many are not above."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def exponent(sizes, values):
    """Of the growth: the slope of a line through the logarithms, 1 for what grows in step."""
    points = [(math.log(size), math.log(value)) for size, value in zip(sizes, values)
              if size > 0 and value > 0]
    return statistics.linear_regression(*zip(*points)).slope


def resident_kib(pid):
    return proc_kib(f"/proc/{pid}/status", "VmRSS:")


def proc_kib(path, name):
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1])
    raise KeyError(f"{name} is not in {path}")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(proc_kib("/proc/meminfo", "MemTotal:") / 2**20),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "signpostd": first_line(os.path.join(ROOT, "build", "signpostd"), "--version"),
        "packages": versions(),
    }


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


def versions():
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n",
                           *PACKAGES], capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    return {words[0]: words[1] for words in lines if words[-1] == "ii"}


def results():
    """What was measured last, by name."""
    found = {}
    for path in sorted(glob.glob(os.path.join(RESULTS, "*.json"))):
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        found[result["name"]] = result
    return found
