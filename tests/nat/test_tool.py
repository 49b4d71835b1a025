"""The tool `lab` by its command line; and however it ends, nothing is left of it. Needs root."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import select
import signal
import subprocess
import sys
from unittest import main, mock

from tests.lib.index import ROOT, clean_environment
from tests.lib.lab import ETC, FOLDERS, NAMESPACES, names_in
from tests.nat.case import COMES_S, NatCase
from tests.nat.natlab import URL, NatLab
from tests.nat.topology import CLIENT, IPV6, TOPOLOGIES

TOOL = os.path.join(ROOT, "tests", "nat", "lab")
LAST = "Ctrl-C ends it"  # begins the last line that it says when all is there


def left_of(pid):
    """What is there under its name: namespaces, files of /etc, folders."""
    return [os.path.join(folder, name) for folder in (NAMESPACES, ETC, FOLDERS)
            for name in names_in(folder, rf"signpost-{pid}-n\d+.*")]


def programs_of(pid):
    """pidfds of all that runs in its namespaces."""
    found = {}
    for path in left_of(pid):
        if path.startswith(NAMESPACES):
            done = subprocess.run(["ip", "netns", "pids", os.path.basename(path)],
                                  capture_output=True, text=True, check=True)
            found.update((int(word), path.rpartition("-")[2]) for word in done.stdout.split())
    return {os.pidfd_open(number): host for number, host in found.items()}


class ToolCase(NatCase):
    def tool(self, *words, env=None, timeout=60):
        return subprocess.run(
            [TOOL, *words], env=clean_environment(**(env or {})), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False)

    def starts(self, *words):
        """It, once it says a line that begins so; all that it said is `self.said`."""
        process = subprocess.Popen(
            [TOOL, *words], env=clean_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for clean in (process.stdout.close, process.stderr.close, process.wait, process.kill):
            self.addCleanup(clean)
        self.said = ""
        while not self.said.rpartition("\n")[0].rpartition("\n")[2].startswith(LAST):
            line = process.stdout.readline()
            self.assertTrue(line, self.said)
            self.said += line
        return process

    def assertAllEnd(self, programs):
        for program, host in programs.items():
            ended, _, _ = select.select([program], [], [], COMES_S)
            self.assertTrue(ended, f"something still runs in {host}")
            os.close(program)


class TestCommandLine(ToolCase):
    def test_list_names_all(self):
        done = self.tool("list")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line]
        self.assertEqual([line[0] for line in lines[:-1]], list(TOPOLOGIES))
        self.assertTrue(all(line[1:] for line in lines))
        for name in IPV6:
            self.assertIn(name, lines[-1][1])

    def test_unknown_names_suggest_the_nearest(self):
        for words, near in ((("symetric",), "symmetric"), (("double_nat",), "double-nat"),
                            (("open", "--ipv6", "filterd"), "filtered")):
            done = self.tool("up", *words)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f"Did you mean {near}?", done.stderr)
        self.assertNotIn("Did you mean", self.tool("up", "qqqqqqqqqqqq").stderr)

    def test_who_is_not_root_is_told_so(self):
        loader = importlib.machinery.SourceFileLoader("lab_tool", TOOL)
        tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("lab_tool", loader))
        loader.exec_module(tool)
        for words in (["up", "open"], ["down"]):
            said = io.StringIO()
            with mock.patch("os.geteuid", return_value=1000), \
                    mock.patch.object(sys, "argv", ["lab", *words]), \
                    contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as ended:
                tool.main()
            self.assertEqual(ended.exception.code, 1)
            self.assertRegex(said.getvalue(), "^lab: .*only root.* Try sudo.\n$")

    def test_command_runs_on_the_client_and_gives_its_exit_code(self):
        script = 'ip -brief -4 address show dev eth0; printenv SIGNPOST_INDEX; exit 7'
        done = self.tool("up", "cgnat", "--ipv6", "open", "--command", "sh", "-c", script)
        self.assertEqual((done.returncode, done.stderr), (7, ""))
        address, index = done.stdout.splitlines()
        self.assertIn(CLIENT + "/24", address)
        self.assertEqual(index, URL)
        self.assertEqual(self.tool("up", "open", "--command", "sh", "-c", "kill -9 $$").returncode,
                         128 + signal.SIGKILL)

    def test_index_that_does_not_start_is_told(self):
        done = self.tool("up", "open", env={"SIGNPOSTD": "/bin/false"})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("lab: open: the index did not get ready", done.stderr)
        done = self.tool("up", "open", env={"SIGNPOSTD": "/nowhere"})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("build it first", done.stderr)


class TestEnd(ToolCase):
    def test_nothing_is_left_whatever_signal_ends_it(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with self.subTest(number.name):
                process = self.starts("up", "mappable")
                programs = programs_of(process.pid)
                self.assertEqual(sorted(programs.values()), ["index", "router", "stun"])
                self.assertTrue(left_of(process.pid))
                process.send_signal(number)
                self.assertEqual(process.wait(COMES_S), 128 + number)
                self.assertEqual(process.stderr.read(), "")
                self.assertEqual(left_of(process.pid), [])
                self.assertAllEnd(programs)

    def test_second_signal_does_not_keep_it_from_removing_all(self):
        process = self.starts("up", "elsewhere")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process.send_signal(number)
        process.wait(COMES_S)
        self.assertEqual(left_of(process.pid), [])

    def test_signal_ends_the_command(self):
        process = subprocess.Popen(
            [TOOL, "up", "open", "--command", "sh", "-c", "echo here; exec sleep 1000"],
            stdout=subprocess.PIPE, text=True)
        for clean in (process.stdout.close, process.wait, process.kill):
            self.addCleanup(clean)
        self.assertEqual(process.stdout.readline(), "here\n")
        programs = programs_of(process.pid)
        self.assertIn("client", programs.values())
        process.terminate()
        self.assertEqual(process.wait(COMES_S), 128 + signal.SIGTERM)
        self.assertEqual(left_of(process.pid), [])
        self.assertAllEnd(programs)

    def test_signal_while_it_comes_up(self):
        """At whatever moment."""
        for delay_ms in range(60, 360, 30):
            with self.subTest(delay_ms=delay_ms):
                process = subprocess.Popen(
                    [TOOL, "up", "mappable"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                self.addCleanup(process.stderr.close)
                try:
                    process.wait(delay_ms / 1000)
                except subprocess.TimeoutExpired:
                    process.terminate()
                process.wait(COMES_S)
                self.assertEqual(left_of(process.pid), [])

    def test_programs_end_with_one_that_is_killed_and_the_next_removes_the_rest(self):
        process = self.starts("up", "mappable")
        programs = programs_of(process.pid)
        self.assertEqual(len(programs), 3)
        process.kill()
        process.wait()
        self.assertAllEnd(programs)
        self.assertTrue(left_of(process.pid))
        self.enters("open")
        self.assertEqual(left_of(process.pid), [])

    def test_down_ends_one_and_no_other(self):
        one, other = self.starts("up", "open"), self.starts("up", "open")
        self.assertIn(f"lab down {other.pid}", self.said)
        done = self.tool("down", str(one.pid))
        self.assertEqual((done.returncode, done.stdout), (0, f"ended 1: {one.pid}\n"))
        one.wait(COMES_S)
        self.assertEqual(left_of(one.pid), [])
        self.assertIsNone(other.poll())
        # This is no lab that somebody brought up, but it has one.
        self.enters("open")
        self.assertEqual(self.tool("down", str(os.getpid())).stdout, "ended 0\n")

    def test_failure_inside_leaves_nothing(self):
        with self.assertRaisesRegex(ValueError, "as it is to"), NatLab("other-port"):
            programs = programs_of(os.getpid())
            self.assertEqual(len(programs), 3)
            raise ValueError("as it is to")
        self.assertEqual(left_of(os.getpid()), [])
        self.assertAllEnd(programs)

    def test_lab_that_does_not_come_up_leaves_nothing(self):
        for culprit in ("_starts_stun", "_waits_for_gateway", "_write_names"):
            with self.subTest(culprit), \
                    mock.patch.object(NatLab, culprit, side_effect=OSError("as it is to")):
                self.assertRaisesRegex(OSError, "as it is to", NatLab("mappable").__enter__)
                self.assertEqual(left_of(os.getpid()), [])


if __name__ == "__main__":
    main()
