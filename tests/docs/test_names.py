"""Options, variables and targets of make that the documents name are there."""

import re
import subprocess
import unittest

from tests.cli.case import BINARY
from tests.docs import markdown
from tests.docs.case import DocsCase
from tests.lib.index import binary, clean_environment

# Of other programs, which are named beside ours.
OF_OTHERS = {
    "--cert", "--pkey",  # coturn
    "--cap-drop", "--init", "--read-only", "--target", "--user",  # docker
}
# Read by tests/lib, by the tests' C programs, and by scripts; not options of a program.
OF_THE_TESTS = {"SIGNPOST_RECORD"}
OUR_COMMAND = re.compile(r"(?:^|[|;&(] *|\$\()(?:build/)?signpostd? ([^|;&)]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
MAKE = re.compile(r"(?:^|&& )make (?:-\S+ )*([a-z][a-z-]*)\b(?!=)")
LISTED = re.compile(r"^SIGNPOST_(?:ERROR|VERDICT)_")
VARIABLE = re.compile(r"\bSIGNPOST_[A-Z0-9_]+\b")


def helps():
    """What the programs say of themselves, in one text."""
    texts = [subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True,
                            env=clean_environment()).stdout]
    commands = re.findall(r"^  ([a-z-]+) ", run("help"), re.M)
    texts += [run("help"), *(run("help", command) for command in commands)]
    return "\n".join(texts)


def run(*args):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, check=False,
                          env=clean_environment()).stdout


def named(pattern, pages=None):
    """(where, name) of each option or variable in backticks and in fences with commands."""
    for page in pages or [page for page in markdown.pages() if page != "CHANGELOG.md"]:
        for line, text in markdown.code_spans(page):
            for name in pattern.findall(text):
                yield f"{page}:{line}", name, text
        for fence in markdown.split(page)[0]:
            if fence.use is not None:
                for line, command, _ in fence.commands():
                    for name in pattern.findall(" ".join(command)):
                        yield f"{page}:{line}", name, " ".join(command)


class TestNames(DocsCase):
    @classmethod
    def setUpClass(cls):
        cls.options = set(OPTION.findall(helps()))
        cls.variables = {
            "SIGNPOST_" + option[2:].upper().replace("-", "_") for option in cls.options}

    def test_option_in_backticks_exists(self):
        """One that stands by itself is ours, or another's that is named beside ours."""
        self.assertNone([
            f"{where}: neither signpostd nor signpost has {name}"
            for where, name, text in named(OPTION)
            if re.match(rf"{name}\b", text) and name not in OF_OTHERS
            or name in OPTION.findall(" ".join(OUR_COMMAND.findall(text)))
            if name not in self.options])

    def test_variable_exists(self):
        header = markdown.read("client/signpost.h")
        self.assertNone([
            f"{where}: {name} is no option's variable and no name of signpost.h"
            for where, name, _ in named(VARIABLE)
            if name not in self.variables | OF_THE_TESTS and not re.search(rf"\b{name}", header)
            and f"X({LISTED.sub('', name)}," not in header])

    def test_target_of_make_exists(self):
        targets = set(re.findall(r"^([a-z-]+):", markdown.read("Makefile"), re.M))
        self.assertNone([
            f"{where}: there is no `make {name}`"
            for where, name, _ in named(MAKE)
            if name not in targets and not name.startswith("setup-")])


if __name__ == "__main__":
    unittest.main()
