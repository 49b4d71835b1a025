"""What `make install` puts down, and the example of the guide, built against that and run."""

import glob
import os
import queue
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import unittest

from tests.lib.index import ROOT, SANITIZER, Index, clean_environment

BUILD = os.environ.get("BUILD") or os.path.dirname(os.environ.get("SIGNPOSTD", "")) or "build"
CC = os.environ.get("CC", "cc")
EXAMPLE = os.path.join(ROOT, "client", "examples", "peers.c")
GUIDE = os.path.join(ROOT, "docs", "client.md")
LINES_MAX = 60
ENDS_S = 30  # for what is to end, or to be said, by itself
GREETING = 'greeting from {}: {{"text":"hello"}}'


def output_of(*command, **options):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, **options)
    if done.returncode:
        raise AssertionError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def sanitizers():
    """Those that the library was built with: what uses it needs them too."""
    path = os.path.join(ROOT, BUILD, "libsignpost.so")
    names = output_of("nm", "-D", path) if os.path.exists(path) else ""
    return ",".join(word for word, mark in (("address", "__asan_init"), ("undefined", "__ubsan_"))
                    if mark in names)


def make_install(target="install", **variables):
    """`make install` in an environment that the make around this test has left no trace in."""
    environment = {key: value for key, value in clean_environment().items()
                   if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    # By the name that it was built with: the dependencies of the objects say that name.
    build = os.path.relpath(os.path.join(ROOT, BUILD), ROOT)
    variables = {"BUILD": build, "SAN": sanitizers(), **variables}
    output_of("make", target, *(f"{key}={value}" for key, value in variables.items()),
              cwd=ROOT, env=environment)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


class Peers:
    """The example as it runs: its lines are waited for, each once."""

    def __init__(self, case, program, index, name, library):
        environment = clean_environment(LD_LIBRARY_PATH=library)
        self.case = case
        self.process = subprocess.Popen(
            [program, f"http://{index.host}:{index.port}", name], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._lines = queue.Queue()
        self._said = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        case.addCleanup(self._give_up)

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _next(self):
        try:
            line = self._lines.get(timeout=ENDS_S)
        except queue.Empty:
            self.case.fail(f"nothing more within {ENDS_S} s after {self._said}")
        self._said.append(line)
        return line

    def says(self, *wanted):
        """Until each of these lines has come, in whatever order."""
        while not set(wanted) <= set(self._said):
            self.case.assertIsNotNone(self._next(), f"it ended after {self._said}")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        while self._next() is not None:
            pass
        self.case.assertEqual(self.process.wait(ENDS_S), 0, self._said)
        self.case.assertNotRegex("\n".join(self._said[:-1]), SANITIZER)

    def _give_up(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self.process.stdout.close()


class InstallCase(unittest.TestCase):
    """Installed once a class, into a prefix of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="signpost-install-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.prefix = os.path.join(folder.name, "usr")
        cls.library = os.path.join(cls.prefix, "lib")
        make_install(PREFIX=cls.prefix)

    def pkg_config(self, *arguments):
        environment = clean_environment(
            PKG_CONFIG_PATH=os.path.join(self.library, "pkgconfig"))
        return shlex.split(output_of("pkg-config", *arguments, env=environment))

    def compile(self, name, *flags):
        program = os.path.join(self.folder, name)
        checks = [f"-fsanitize={sanitizers()}"] if sanitizers() else []
        output_of(CC, "-std=gnu11", "-Wall", "-Wextra", "-Werror", *checks, "-o", program, EXAMPLE,
                  *flags)
        return program

    def needed(self, program):
        return re.findall(r"\(NEEDED\).*\[(.+)\]", output_of("readelf", "-d", program))

    def meet(self, program):
        """Two of them: each sees the other, and gets its greeting; one sees the other leave."""
        with Index() as index:
            a = Peers(self, program, index, "a", self.library)
            a.says("this is a", f"http://{index.host}:{index.port}: ready")
            b = Peers(self, program, index, "b", self.library)
            a.says("up b", GREETING.format("b"))
            b.says("up a", GREETING.format("a"))
            b.interrupt()
            a.says("down b")
            a.interrupt()


class FilesTest(InstallCase):
    def test_install_everything_is_in_its_place(self):
        found = {os.path.relpath(os.path.join(folder, name), self.prefix)
                 for folder, _, names in os.walk(self.prefix) for name in names}
        pages = {f"share/man/man{page[-1]}/{os.path.basename(page)}"
                 for page in glob.glob(os.path.join(ROOT, "docs", "man", "*.[1-8]"))}
        self.assertEqual(found, pages | {
            "bin/signpost", "bin/signpostd", "include/signpost.h", "lib/libsignpost.a",
            "lib/libsignpost.so", "lib/libsignpost.so.0", f"lib/libsignpost.so.{self.version()}",
            "lib/pkgconfig/signpost.pc", "share/bash-completion/completions/signpost",
            "share/zsh/site-functions/_signpost", "share/doc/signpost/LICENSE",
            "share/signpost/signpost.js", "share/signpost/signpost.d.ts",
            "share/signpost/package.json", "lib/systemd/system/signpostd.service",
            "etc/signpost/signpostd.conf"})
        self.assertLessEqual({"share/man/man3/libsignpost.3", "share/man/man8/signpostd.8"}, pages)

    def version(self):
        header = read(ROOT, "client", "signpost.h")
        return ".".join(re.search(rf"SIGNPOST_VERSION_{part} (\d+)", header)[1]
                        for part in ("MAJOR", "MINOR", "PATCH"))

    def test_install_versions_are_one(self):
        program = os.path.join(self.prefix, "bin", "signpostd")
        self.assertEqual(self.pkg_config("--modversion", "signpost"), [self.version()])
        self.assertIn(self.version(), output_of(program, "--version").split())
        for page in ("libsignpost.3", "signpostd.8"):
            self.assertIn(f'"Signpost {self.version()}"', read(ROOT, "docs", "man", page))

    def test_install_links_lead_to_the_library(self):
        for link, target in (("libsignpost.so", "libsignpost.so.0"),
                             ("libsignpost.so.0", f"libsignpost.so.{self.version()}")):
            self.assertEqual(os.readlink(os.path.join(self.library, link)), target)

    def test_library_soname_is_that_of_the_link(self):
        dynamic = output_of("readelf", "-d", os.path.join(self.library, "libsignpost.so"))
        self.assertEqual(re.findall(r"\(SONAME\).*\[(.+)\]", dynamic), ["libsignpost.so.0"])

    def test_library_exports_what_the_header_declares(self):
        header = read(ROOT, "client", "signpost.h")
        declared = set(re.findall(r"^SIGNPOST_API [^;]*?(signpost_\w+)\(", header, re.MULTILINE))
        exported = {line.split()[-1] for line in output_of(
            "nm", "-D", "--defined-only",
            os.path.join(self.library, "libsignpost.so")).splitlines()}
        self.assertEqual(exported, declared)

    def test_install_destdir_is_nowhere_in_the_files(self):
        destination = os.path.join(self.folder, "destination")
        make_install(DESTDIR=destination, PREFIX="/opt/signpost", LIBDIR="/opt/signpost/lib64")
        package = read(destination, "opt/signpost/lib64/pkgconfig/signpost.pc")
        self.assertIn("prefix=/opt/signpost\nlibdir=${prefix}/lib64\n", package)
        self.assertNotIn(destination, package)
        self.assertTrue(os.path.exists(
            os.path.join(destination, "opt/signpost/lib64/libsignpost.so")))
        self.assertEqual(os.listdir(destination), ["opt"])


    def test_uninstall_leaves_the_options_alone(self):
        destination = os.path.join(self.folder, "removed")
        make_install(DESTDIR=destination, PREFIX="/usr")
        options = os.path.join(destination, "etc/signpost/signpostd.conf")
        with open(options, "a", encoding="utf-8") as file:
            file.write("SIGNPOST_DEMO=yes\n")
        make_install(DESTDIR=destination, PREFIX="/usr")
        self.assertTrue(read(options).endswith("\nSIGNPOST_DEMO=yes\n"), "they were written over")
        make_install("uninstall", DESTDIR=destination, PREFIX="/usr")
        left = [os.path.join(folder, name) for folder, _, names in os.walk(destination)
                for name in names]
        self.assertEqual(left, [options])


class ExampleTest(InstallCase):
    def test_example_is_short_and_that_of_the_guide(self):
        example = read(EXAMPLE)
        self.assertLess(len(example.splitlines()), LINES_MAX)
        copies = re.findall(r"<!-- file: peers\.c -->\n```c\n(.*?)```\n<!-- end of peers\.c -->",
                            read(GUIDE), re.DOTALL)
        self.assertEqual(copies, [example])

    def test_example_with_the_shared_library_greets_its_peer(self):
        program = self.compile("shared", *self.pkg_config("--cflags", "--libs", "signpost"))
        self.assertIn("libsignpost.so.0", self.needed(program))
        self.meet(program)

    def test_example_with_the_static_library_greets_its_peer(self):
        # What the library itself uses stays shared: few systems have all of that as archives.
        below = self.pkg_config("--print-requires", "--print-requires-private", "signpost")
        program = self.compile(
            "static", *self.pkg_config("--cflags", "--libs-only-L", "signpost"),
            "-l:libsignpost.a", *self.pkg_config("--libs", *below))
        self.assertNotIn("libsignpost.so.0", self.needed(program))
        self.meet(program)

    def test_example_against_no_index_says_so_and_stops(self):
        program = self.compile("alone", *self.pkg_config("--cflags", "--libs", "signpost"))
        with Index() as index:
            index.kill()
            url = f"http://{index.host}:{index.port}"
            alone = Peers(self, program, index, "a", self.library)
            alone.says("this is a")
            line = alone._next()
            self.assertTrue(line.startswith(f"{url}: cannot reach "), line)
            alone.interrupt()


class HeaderTest(InstallCase):
    def test_header_alone_is_good_c_and_cpp(self):
        for language in ("c", "c++"):
            output_of(CC, "-x", language, "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                      *self.pkg_config("--cflags", "signpost"),
                      os.path.join(self.prefix, "include", "signpost.h"))


if __name__ == "__main__":
    unittest.main()
