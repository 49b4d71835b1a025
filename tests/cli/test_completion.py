"""The completions of the command `signpost`, run in their shells, and its manual page."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import unittest

from tests.cli.case import BINARY, ENDS_S, CliCase
from tests.lib.index import ROOT

BASH_COMPLETION = os.path.join(ROOT, "client", "cli", "completion.bash")
ZSH_COMPLETION = os.path.join(ROOT, "client", "cli", "_signpost")
MANUAL = os.path.join(ROOT, "docs", "man", "signpost.1")


class TestCompletion(CliCase):
    def setUp(self):
        super().setUp()
        self.all = json.loads(self.succeeds("help", "--json"))
        os.symlink(os.path.abspath(BINARY), os.path.join(self.folder, "signpost"))
        self.env["PATH"] = self.folder + os.pathsep + self.env.get("PATH", "")

    def completed(self, *words):
        """What bash offers for the last of the words."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _signpost; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "--norc", "-c", script, "bash", BASH_COMPLETION, "signpost", *words],
            env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=ENDS_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout.split()

    def test_bash_offers_commands(self):
        self.assertEqual(self.completed("l"), ["list", "listen"])
        self.assertEqual(self.completed("re"), ["register", "recv"])
        self.assertEqual(self.completed(""), [one["name"] for one in self.all["commands"]])
        self.assertEqual(self.completed("help", "w"), ["watch"])
        self.assertEqual(self.completed("key", ""), ["new"])
        self.assertEqual(self.completed("--json", "--index", "http", ":", "//x", ":", "1", "l"),
                         ["list", "listen"])
        self.assertEqual(self.completed("--id", "=", "x", "l"), ["list", "listen"])

    def test_bash_offers_every_option_of_each_command(self):
        common = [one["name"] for one in self.all["options"]]
        for command in self.all["commands"]:
            names = common + [one["name"] for one in command["options"]] + ["help"]
            self.assertEqual(sorted(self.completed(command["name"], "--")),
                             sorted("--" + name for name in names))

    def test_bash_offers_peers(self):
        self.node("master-a")
        self.node("master-b")
        self.assertEqual(self.completed("send", "m"), ["master-a", "master-b"])
        self.assertEqual(self.completed("send", "master-a", "m"), [])
        self.assertEqual(self.completed("send", "--type", "of"), ["offer"])

    def test_bash_offers_files(self):
        path = self.write("a-key", "")
        self.assertEqual(self.completed("--key-file", path[:-2]), [path])
        self.assertEqual(self.completed("--key-file", "=", path[:-2]), [path])

    def in_zsh(self, keys):
        """What a line has become in an interactive zsh when these keys were typed."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        env = {**self.env, "TERM": "dumb", "PS1": "", "PS2": ""}
        process = subprocess.Popen(["zsh", "-f", "-i"], env=env, stdin=theirs, stdout=theirs,
                                   stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        folder = os.path.dirname(ZSH_COMPLETION)
        os.write(ours, f"fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; "
                       "PS1='at your '; PS1+='service'\r".encode())
        self.until(ours, "at your service")
        os.write(ours, keys.encode() + b"\x01print -r line: \r")
        written = self.until(ours, "\nline: ")
        return written + self.until(ours, "\n")

    def until(self, terminal, text):
        written = ""
        while text not in written:
            self.assertTrue(select.select([terminal], [], [], ENDS_S)[0], written)
            written += os.read(terminal, 1).decode(errors="replace")
        return written

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_offers_commands_options_and_peers(self):
        self.node("master-a")
        for keys, line in (("signpost l\t", "signpost list"),
                           ("signpost list --wa\t", "signpost list --watch"),
                           ("signpost recv --fo\t", "signpost recv --follow"),
                           ("signpost --js\tsend mas\t", "signpost --json send master-a")):
            with self.subTest(keys=keys):
                self.assertRegex(self.in_zsh(keys), rf"\nline: {line} ?\r?\n")

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_reads_its_completion(self):
        done = subprocess.run(["zsh", "-n", ZSH_COMPLETION], capture_output=True, text=True,
                              timeout=ENDS_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_zsh_file_and_manual_name_every_command_and_option(self):
        with open(ZSH_COMPLETION, encoding="utf-8") as file:
            zsh = file.read()
        with open(MANUAL, encoding="utf-8") as file:
            manual = file.read().replace("\\-", "-")
        for command in self.all["commands"]:
            self.assertIn(f"'{command['name']}:", zsh)
            self.assertRegex(manual, rf'(?m)^\.BR? "?{command["name"]}\b')
            for option in command["options"]:
                self.assertIn(f"--{option['name']}", zsh)
                self.assertIn(f"--{option['name']}", manual)
        for option in self.all["options"]:
            self.assertIn(f"--{option['name']}", zsh)
            self.assertIn(f"--{option['name']}", manual)
            self.assertIn(option["environment"], manual)

    def test_manual_has_every_exit_status(self):
        with open(MANUAL, encoding="utf-8") as file:
            status = file.read().split(".SH EXIT STATUS")[1]
        self.assertEqual(re.findall(r"(?m)^\.B (\d+)$", status),
                         [str(one["code"]) for one in self.all["exits"]])


if __name__ == "__main__":
    unittest.main()
