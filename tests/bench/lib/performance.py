"""Makes docs/performance.md of what was measured last: `make performance`, after `make bench`."""

import sys

from tests.bench.lib.document import draw, fill, markdown
from tests.bench.lib.plot import line_chart
from tests.bench.lib.report import results

PAGE = "performance.md"
ELSEWHERE = ("restarts", "scaling")  # which are in scaling.md
MACHINE = (
    ("processor", "processor"), ("cores", "cores"), ("memory_gib", "memory GiB"),
    ("kernel", "kernel"), ("date", "measured on"), ("signpostd", "index"),
)
KEPT = ("index", "bare", "redis", "redis, appending", "opentracker, UDP", "peerjs, by 100")
# Of the table that has the name of its result: the title, what is on the axes, and which rows are a
# line; which of the lines, where it is not all.
PICTURES = {
    "heartbeats": ("CPU time of a heartbeat", ("nodes", "nodes"), ("cpu_us", "microseconds"),
                   "server", KEPT),
    "lists": ("CPU time of a list", ("nodes", "nodes"), ("cpu_us", "microseconds"), "what"),
    "messages": ("From a sender to a reader that waits, median",
                 ("parked", "readers that wait"), ("p50_us", "microseconds"), "server"),
    "fanout": ("From a change to the last who watches", ("watchers", "watchers"),
               ("last", "milliseconds"), "server"),
    "starts": ("From the start to the first answer", ("nodes", "nodes"), ("ms", "milliseconds"),
               "server"),
}


def series(rows, x, y, line, only=None):
    """What a logarithmic axis can show of it."""
    lines = {}
    for row in rows:
        if row[x] > 0 and (only is None or row[line] in only):
            lines.setdefault(row[line], []).append((row[x], row[y]))
    return lines


def picture(result, title, x, y, *lines):
    rows = result["tables"][result["name"]]["rows"]
    return line_chart(title, x[1], y[1], series(rows, x[0], y[0], *lines))


def machine(measured):
    """One of them speaks for all: they are of one run."""
    told = measured["heartbeats"]["machine"]
    rows = [{"what": name, "is": str(told[key])} for key, name in MACHINE]
    rows += [{"what": name, "is": version} for name, version in told["packages"].items()]
    return markdown({"what": "what", "is": "is"}, rows)


def main():
    measured = results()
    missing = set(PICTURES) - set(measured)
    if missing:
        sys.exit(f"nothing was measured of {', '.join(sorted(missing))}: run make bench first")
    places = {"machine": machine(measured)}
    for name, result in measured.items():
        if name not in ELSEWHERE:
            places.update({f"{name}/{table}": markdown(found["columns"], found["rows"])
                           for table, found in result["tables"].items()})
    fill(PAGE, places)
    draw({f"performance-{name}": picture(measured[name], *words)
          for name, words in PICTURES.items()})


if __name__ == "__main__":
    main()
