"""The report of a check against its schema, which stands in docs/: those of every situation that
the tests in C know, and the examples of the guide."""

import copy
import glob
import json
import os
import re
import subprocess
import tempfile
import unittest

from tests.cli.case import BINARY
from tests.lib.index import ROOT, clean_environment

try:
    import jsonschema
except ImportError:
    jsonschema = None

WRITER = os.path.join(os.path.dirname(BINARY), "tests", "client", "test_report")
SCHEMA = os.path.join(ROOT, "docs", "check.schema.json")
GUIDE = os.path.join(ROOT, "docs", "nat.md")
HEADER = os.path.join(ROOT, "client", "signpost.h")
ENDS_S = 60
REACH_MAX = 1024


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def closed(schema):
    """The schema, but without room for what it does not name. Readers shall have that room; what
    is written now shall be named."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        result["additionalProperties"] = False
    return result


def places(value, path=()):
    """Every object in a report: where it is, and its members."""
    if isinstance(value, dict):
        yield path, value
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, item in items:
        yield from places(item, (*path, key))


def examples():
    """The JSON of the guide: the blocks that are whole objects."""
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", read(GUIDE), re.S)]


@unittest.skipUnless(jsonschema, "python3-jsonschema is missing")
class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(read(SCHEMA))
        cls.validator = jsonschema.Draft202012Validator(closed(cls.schema))
        with tempfile.TemporaryDirectory(prefix="signpost-test-") as folder:
            done = subprocess.run(
                [WRITER], env=clean_environment(SIGNPOST_REPORTS=folder), timeout=ENDS_S,
                capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr + done.stdout
            cls.reports = {os.path.basename(path): json.loads(read(path))
                           for path in glob.glob(os.path.join(folder, "*.json"))}

    def test_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_every_report_fits_the_schema(self):
        self.assertGreater(len(self.reports), 50)
        for name, report in self.reports.items():
            with self.subTest(name):
                self.validator.validate(report)

    def test_every_member_is_required(self):
        for name in ("filtered-0.json", "udp-restricted-0.json", "other-port-0.json"):
            for path, members in places(self.reports[name]):
                for member in members:
                    report = copy.deepcopy(self.reports[name])
                    place = report
                    for key in path:
                        place = place[key]
                    del place[member]
                    self.assertFalse(self.validator.is_valid(report), (*path, member))

    def test_a_report_of_another_kind_does_not_fit(self):
        for path, wrong in ((["schema"], 2), (["verdict", "code"], 19), (["port"], 0),
                            (["ipv4", "tcp", "open"], "no"), (["surprise"], None)):
            report = copy.deepcopy(self.reports["filtered-0.json"])
            place = report
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            self.assertFalse(self.validator.is_valid(report), path)

    def test_verdicts_are_those_of_the_header(self):
        verdicts = re.findall(r'X\([A-Z_]+, (\d+), "([^"]+)"\)', read(HEADER))
        finding = self.schema["$defs"]["finding"]["properties"]
        self.assertEqual(finding["code"]["enum"], [int(number) for number, _ in verdicts])
        self.assertEqual(self.schema["$defs"]["verdict_name"]["enum"],
                         [name for _, name in verdicts])

    def test_examples_of_the_guide_fit(self):
        reports = [example for example in examples() if "schema" in example]
        self.assertTrue(reports)
        for report in reports:
            self.validator.validate(report)

    def test_reach_of_the_guide_is_short(self):
        reaches = [example for example in examples() if "checked_at" in example]
        self.assertTrue(reaches)
        for reach in reaches:
            self.assertLessEqual(len(json.dumps(reach, separators=(",", ":"))), REACH_MAX)


if __name__ == "__main__":
    unittest.main()
