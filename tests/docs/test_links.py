"""Links lead somewhere, paths that are named exist, and docs/README.md knows every document."""

import glob
import os
import re
import subprocess
import unittest
import urllib.parse

from tests.docs import markdown
from tests.docs.case import DocsCase
from tests.lib.index import ROOT

PATH = re.compile(r"^(?:server|client|tests|docs|deploy|\.ci)/[\w./*-]*$")


def exists(path):
    return bool(glob.glob(os.path.join(ROOT, path)))


class TestLinks(DocsCase):
    def test_link_relative_leads_to_a_file_and_a_heading(self):
        faults, count = [], 0
        for page in markdown.pages():
            for line, target in markdown.links(page):
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                count += 1
                path, _, anchor = urllib.parse.unquote(target).partition("#")
                to = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                if not exists(to):
                    faults.append(f"{page}:{line}: {target}: there is no {to}")
                elif anchor and to.endswith(".md") and anchor not in [
                        name for _, _, name in markdown.headings(to)]:
                    faults.append(f"{page}:{line}: {target}: {to} has no heading #{anchor}")
        print(f"figure: {count} relative links")
        self.assertNone(faults)

    def test_path_in_backticks_exists(self):
        """`tests/e2e/test_mesh.py`; also `server/http/`, `tests/unit/test_*.c`, and
        `tests/fuzz/fuzz_NAME.c`, where NAME stands for any."""
        self.assertNone([
            f"{page}:{line}: there is no `{text}`"
            for page in markdown.pages() if page != "CHANGELOG.md"
            for line, text in markdown.code_spans(page)
            if PATH.match(text)
            and not exists(re.sub(r"(?<![A-Z])[A-Z]{4,}(?=[./]|$)(?!\.md)", "*", text))])

    def test_link_of_docs_index_knows_every_document(self):
        listed = {os.path.normpath(os.path.join("docs", target.partition("#")[0]))
                  for _, target in markdown.links("docs/README.md")}
        files = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others",
             "--exclude-standard", "docs"], cwd=ROOT, capture_output=True, text=True, check=True)
        self.assertNone([
            f"docs/README.md: {path} is not linked there" for path in files.stdout.splitlines()
            if path not in listed and path != "docs/README.md"
            and not any(path.startswith(folder + "/") for folder in listed)])


if __name__ == "__main__":
    unittest.main()
