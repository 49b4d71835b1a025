"""What an index counts: GET /metrics, taken apart."""

import re
import urllib.request

from tests.lib.case import HttpCase
from tests.lib.index import Stopwatch

COUNTED_S = 30
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="([^"]*)"(?:,|$)')


class Metrics:
    """`metrics["signpost_messages_total", "handed"]`: the sum of all samples of that name that have
    each of these values among their labels."""

    def __init__(self, text):
        self.text = text
        self.types, self.help, self.samples = {}, {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} has two types"
                self.types[name] = kind
            elif line.startswith("# HELP "):
                _, _, name, words = line.split(" ", 3)
                self.help[name] = words
            else:
                name, labels, value = SAMPLE.match(line).groups()
                key = (name, tuple(LABEL.findall(labels or "")))
                assert key not in self.samples, f"{key} is there twice"
                self.samples[key] = float(value)

    def __getitem__(self, wanted):
        name, *values = (wanted,) if isinstance(wanted, str) else wanted
        found = [sample for (at, labels), sample in self.samples.items()
                 if at == name and set(values) <= {value for _, value in labels}]
        assert found or name.partition("_bucket")[0] in self.families(), f"no metric {name}"
        return sum(found)

    def families(self):
        """As Prometheus sees them: a histogram has three names."""
        return set(self.types) | {name + end for name, kind in self.types.items()
                                  if kind == "histogram" for end in ("_bucket", "_sum", "_count")}

    def series(self):
        return set(self.samples)


def read_metrics(index):
    """By the listener for operations, or the first one."""
    host, port = (index.ops_listeners or index.listeners)[0]
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with urllib.request.urlopen(f"http://{place}/metrics", timeout=20) as reply:
        return Metrics(reply.read().decode("utf-8"))


def wait_for_metrics(index, *wanted):
    """The metrics, as soon as there is something of that kind; see Metrics."""
    watch = Stopwatch()
    while not (metrics := read_metrics(index))[wanted]:
        if watch.elapsed() > COUNTED_S:
            raise AssertionError(f"not counted within {COUNTED_S} s: {wanted}")
    return metrics


class MetricsCase(HttpCase):
    def moves(self, action, **wanted):
        """What the action adds to these: name or name__label-value, with __ between."""
        before = read_metrics(self.index)
        action()
        after = read_metrics(self.index)
        for name, by in wanted.items():
            family, *values = name.split("__")
            key = ("signpost_" + family, *values)
            self.assertEqual(after[key] - before[key], by, key)
