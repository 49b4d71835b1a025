"""server/version.h has the version. What cannot take it from there says the same."""

import glob
import json
import os
import re
import subprocess
import unittest

from tests.cli.case import BINARY
from tests.docs.case import DocsCase
from tests.docs import markdown
from tests.lib.index import ROOT, binary, clean_environment


def found(path, pattern):
    """The version as a file writes it; several numbers are joined by dots."""
    match = re.search(pattern, markdown.read(path), re.M | re.S)
    return ".".join(match.groups()) if match else f"nothing like {pattern}"


class TestVersion(DocsCase):
    @classmethod
    def setUpClass(cls):
        cls.version = found("server/version.h", r'SIGNPOST_VERSION "([^"]+)"')

    def assertVersions(self, versions):
        self.assertNone([f"{where} says {version}, server/version.h {self.version}"
                         for where, version in versions if version != self.version])

    def test_programs_say_the_version(self):
        versions = []
        for program in (binary(), BINARY):
            said = subprocess.run([program, "--version"], capture_output=True, text=True,
                                  check=True, env=clean_environment()).stdout
            versions.append((os.path.basename(program), said.split()[-1]))
        self.assertVersions(versions)

    def test_files_have_the_version(self):
        numbers = "".join(rf"SIGNPOST_VERSION_{part} (\d+)\s+(?:#define )?"
                          for part in ("MAJOR", "MINOR", "PATCH"))
        versions = [("client/signpost.h", found("client/signpost.h", numbers)),
                    ("client/signpost.h's comment",
                     found("client/signpost.h", r'library that runs, "([^"]+)"')),
                    ("CHANGELOG.md's newest release",
                     found("CHANGELOG.md", r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$"))]
        for page in glob.glob(os.path.join(ROOT, "docs", "man", "*.[1-8]")):
            path = os.path.relpath(page, ROOT)
            versions.append((path, found(path, r'^\.TH [^\n]*"Signpost ([^"]+)"')))
        self.assertVersions(versions)

    def test_descriptions_for_machines_have_the_version(self):
        """Of those that are there, and name one."""
        versions = []
        for path in ["client/js/package.json", *glob.glob("docs/openapi.*", root_dir=ROOT)]:
            text = markdown.read(path)
            if path.endswith(".json"):
                described = json.loads(text)
                version = described.get("info", described).get("version")
            else:
                version = found(path, r"^info:.*?^  version: \"?([^\s\"]+)")
            if version is not None:
                versions.append((path, version))
        self.assertVersions(versions)


if __name__ == "__main__":
    unittest.main()
