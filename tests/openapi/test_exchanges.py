"""What the suites of this run said to the index, and it to them, is as docs/openapi.json says."""

import collections
import json
import os
import unittest

from tests.openapi.description import Description

SHOWN = 20
# Statuses that no test can bring about at every operation, and why. Each is seen at some.
RARE = {"503": "the store, the memory or the time of the index have to run out: suite faults"}


def read_record():
    name = os.environ.get("SIGNPOST_RECORD")
    if not name or not os.path.exists(name):
        return []
    with open(name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class TestExchanges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.exchanges = read_record()
        if not cls.exchanges:
            raise unittest.SkipTest("nothing was recorded: run it together with the suite http")
        cls.description = Description()

    def test_exchanges_are_as_described(self):
        faults, lines = collections.Counter(), {}
        for exchange in self.exchanges:
            for fault in self.description.judge(exchange):
                place = (exchange["method"], self.description.place_of(exchange)[1],
                         exchange["status"], fault)
                faults[place] += 1
                lines.setdefault(place, json.dumps(exchange)[:1500])
        print(f"figure: {len(self.exchanges)} exchanges were held against the description")
        shown = [f"{count} times, {place}:\n    {lines[place]}"
                 for place, count in faults.most_common(SHOWN)]
        if faults:
            self.fail(f"{len(faults)} kinds of faults\n" + "\n".join(shown))

    def test_every_status_of_every_operation_was_seen(self):
        seen = {(*self.description.place_of(exchange), str(exchange["status"]))
                for exchange in self.exchanges}
        for status, why in RARE.items():
            self.assertIn(status, {status for _, _, status in seen}, why)
        self.assertEqual([
            f"{method} {path} {status}" for method, path, operation in self.description.operations()
            for status in operation["responses"]
            if status not in RARE and (method, path, status) not in seen], [])
