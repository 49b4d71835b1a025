"""Every fence says what it is, so that test_commands.py runs all that one machine can run."""

import collections
import json
import os
import re
import subprocess
import tempfile
import unittest

from tests.docs import markdown
from tests.docs.case import DocsCase

NODE = "/usr/bin/node" if os.access("/usr/bin/node", os.X_OK) else "node"

# What begins a line where someone has put commands into a fence that says it has none.
LOOKS_LIKE_COMMAND = re.compile(
    r"^(\$ |# ?apt|(sudo|apt|apt-get|curl|make|git|cc|docker|podman|kubectl|systemctl|journalctl|"
    r"openssl|sqlite3|export|cd|tar|install|build/\S+|signpostd?) (?!.*\[-))")


def all_fences():
    return [fence for page in markdown.pages() for fence in markdown.split(page)[0]]


class TestFences(DocsCase):
    def test_fence_any_has_a_word_that_is_known(self):
        known = markdown.COMMAND_WORDS + markdown.OTHER_WORDS
        self.assertNone([
            f"{fence.where}: ```{fence.word} does not say what this is: "
            "tests/docs/markdown.py has the words"
            for fence in all_fences() if fence.word not in known])

    def test_fence_any_has_a_mark_that_is_known(self):
        self.assertNone([
            f"{fence.where}: ```{fence.word} {fence.mark}: after sh comes nothing, `background` or "
            "`elsewhere: WHY`, after console nothing or `elsewhere: WHY`, after others nothing"
            for fence in all_fences() if fence.use == ""])

    def test_fence_any_is_closed(self):
        self.assertNone([f"{fence.where}: this fence has no end"
                         for fence in all_fences() if not fence.closed])

    def test_fence_without_commands_has_none(self):
        self.assertNone([
            f"{fence.page}:{fence.line + n}: `{text}` looks like a command, and the fence says "
            f"{fence.word}: make it ```sh or ```console, with `elsewhere: WHY` if it cannot be run"
            for fence in all_fences() if fence.use is None
            for n, text in enumerate(fence.lines, 1) if LOOKS_LIKE_COMMAND.match(text)])

    def test_console_any_begins_with_a_command(self):
        self.assertNone([
            f"{fence.where}: a console begins with `$ ` and a command"
            for fence in all_fences()
            if fence.word == "console" and not (fence.lines and fence.lines[0].startswith("$ "))])

    def test_shell_any_has_no_prompt(self):
        self.assertNone([
            f"{fence.page}:{fence.line + n}: commands in ```sh have no prompt, so that they can be "
            "copied; with their answers they are ```console"
            for fence in all_fences() if fence.word == "sh"
            for n, text in enumerate(fence.lines, 1) if text.startswith("$ ")])

    def test_json_any_is_json(self):
        """Whole objects, or a line each; `...` stands for what is left out."""
        faults = []
        for fence in all_fences():
            if fence.word == "json" and "..." not in "".join(fence.lines):
                try:
                    json.loads("\n".join(fence.lines))
                except ValueError as error:
                    faults.append(f"{fence.where}: {error}")
        self.assertNone(faults)

    def test_javascript_any_can_be_read(self):
        faults = []
        for fence in all_fences():
            if fence.word == "js":
                with tempfile.NamedTemporaryFile("w", suffix=".mjs", encoding="utf-8") as module:
                    module.write("\n".join(fence.lines))
                    module.flush()
                    done = subprocess.run([NODE, "--check", module.name], capture_output=True,
                                          text=True, check=False)
                if done.returncode:
                    faults.append(f"{fence.where}: {done.stderr}")
        self.assertNone(faults)

    def test_commands_all_are_counted(self):
        counts, reasons = collections.Counter(), collections.Counter()
        for fence in all_fences():
            if fence.use:
                counts[fence.use] += len(fence.commands())
            if fence.use == markdown.ELSEWHERE:
                reasons[fence.mark.removeprefix("elsewhere: ")] += len(fence.commands())
        run = counts[markdown.RUN] + counts[markdown.BACKGROUND]
        print(f"figure: {run} commands of the documents are run, "
              f"{counts[markdown.ELSEWHERE]} are for another machine")
        for reason, commands in sorted(reasons.items()):
            print(f"figure:   {commands}: {reason}")
        self.assertGreater(run, 0)


if __name__ == "__main__":
    unittest.main()
