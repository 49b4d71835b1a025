"""The man pages are what groff and a reader expect."""

import glob
import os
import re
import subprocess
import unittest

from tests.docs import markdown
from tests.docs.case import DocsCase
from tests.lib.index import ROOT

PAGES = sorted(glob.glob("docs/man/*.[1-8]", root_dir=ROOT))


class TestManuals(DocsCase):
    def test_manual_any_is_set_without_a_warning(self):
        """At widths of a narrow terminal, a usual one, and a wide one."""
        faults = []
        for page in PAGES:
            for columns in (60, 80, 132):
                done = subprocess.run(
                    ["groff", "-man", "-ww", "-Tutf8", "-z", f"-rLL={columns}n",
                     os.path.join(ROOT, page)], capture_output=True, text=True, check=False)
                faults += [f"{columns} columns: {line}" for line in done.stderr.splitlines()]
                if done.returncode:
                    faults.append(f"{page}: groff ends with {done.returncode}")
        self.assertNone(faults)

    def test_manual_any_begins_and_refers_rightly(self):
        """Its name is that of the file, and pages of ours that it refers to are there."""
        faults = []
        ours = {os.path.basename(page) for page in PAGES}
        names = {name.rpartition(".")[0] for name in ours}
        for page in PAGES:
            text = markdown.read(page)
            name, _, section = os.path.basename(page).rpartition(".")
            if not text.startswith(f".TH {name.upper()} {section} "):
                faults.append(f"{page}: does not begin with .TH {name.upper()} {section}")
            for other, its in re.findall(r"^\.BR (\S+) \((\d)\)", text, re.M):
                if other in names and f"{other}.{its}" not in ours:
                    faults.append(f"{page}: refers to {other}({its}), which is not there")
        self.assertNone(faults)


if __name__ == "__main__":
    unittest.main()
