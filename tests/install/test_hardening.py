"""How what `make` builds is hardened, as the files themselves show it (readelf, objdump)."""

import glob
import os
import platform
import re
import unittest

from tests.install.test_install import BUILD, ROOT, output_of, sanitizers

PROGRAMS = ["signpostd", "signpost"]
FILES = [*PROGRAMS, "libsignpost.so"]


def built(name):
    return os.path.join(ROOT, BUILD, name)


def readelf(option, name):
    return output_of("readelf", "-W", option, built(name))


def segments(name):
    """(type, offset, flags) of each."""
    lines = re.findall(r"^ +([A-Z_]+) +(0x[0-9a-f]+)(?: 0x[0-9a-f]+){4} ([RWE ]{3}) ",
                       readelf("-l", name), re.MULTILINE)
    return [(kind, int(offset, 16), flags) for kind, offset, flags in lines]


class TestEveryFile(unittest.TestCase):
    def test_program_is_position_independent(self):
        for name in FILES:
            with self.subTest(file=name):
                self.assertRegex(readelf("-h", name), r"Type: +DYN")
        for name in PROGRAMS:
            with self.subTest(file=name):
                self.assertRegex(readelf("-d", name), r"\(FLAGS_1\).*\bPIE\b")

    def test_what_is_relocated_is_read_only_from_the_start(self):
        for name in FILES:
            with self.subTest(file=name):
                self.assertIn("GNU_RELRO", [kind for kind, _, _ in segments(name)])
                self.assertRegex(readelf("-d", name), r"\(FLAGS\).*\bBIND_NOW\b|\(BIND_NOW\)")
                self.assertRegex(readelf("-d", name), r"\(FLAGS_1\).*\bNOW\b")

    def test_nothing_is_writable_and_executable(self):
        for name in FILES:
            with self.subTest(file=name):
                parts = segments(name)
                self.assertIn("GNU_STACK", [kind for kind, _, _ in parts])
                for kind, _, flags in parts:
                    self.assertFalse("W" in flags and "E" in flags, f"{kind} has {flags}")
                self.assertNotIn("(TEXTREL)", readelf("-d", name))

    def test_code_is_apart_from_the_headers(self):
        for name in FILES:
            with self.subTest(file=name):
                loads = [(offset, flags) for kind, offset, flags in segments(name) if kind == "LOAD"]
                self.assertEqual(loads[0], (0, "R  "))
                self.assertEqual([flags for _, flags in loads].count("R E"), 1)

    def test_libraries_are_looked_for_where_the_system_has_them(self):
        for name in FILES:
            with self.subTest(file=name):
                self.assertNotRegex(readelf("-d", name), r"\((RPATH|RUNPATH)\)")


class TestCode(unittest.TestCase):
    """What the compiler put into the code. Sanitizers do the same in their own way, and have none
    of it."""

    def imports(self, name):
        return set(re.findall(r" UND (\w+)", readelf("--dyn-syms", name)))

    def test_stack_has_guards(self):
        for name in FILES:
            with self.subTest(file=name):
                self.assertIn("__stack_chk_fail", self.imports(name))

    def test_functions_of_the_c_library_check_sizes(self):
        for name in FILES:
            with self.subTest(file=name):
                checking = {each for each in self.imports(name) if re.fullmatch(r"__\w+_chk", each)}
                self.assertLessEqual({"__snprintf_chk", "__memcpy_chk"}, checking)

    if platform.machine() == "x86_64":
        def test_every_object_is_made_for_indirect_branch_tracking(self):
            # The program has no note, because the start files of the C library have none.
            objects = glob.glob(built("obj/server/**/*.o"), recursive=True)
            objects += glob.glob(built("obj/client/**/*.o"), recursive=True)
            self.assertGreater(len(objects), 50)
            notes = output_of("readelf", "-n", *objects)
            self.assertEqual(notes.count("x86 feature: IBT, SHSTK"), len(objects))

        def test_functions_begin_with_a_mark_for_branches(self):
            for name in PROGRAMS:
                with self.subTest(file=name):
                    code = output_of("objdump", "-d", "--disassemble=main", built(name))
                    self.assertRegex(code, r"<main>:\n.*\bendbr64\b")

        def test_large_frames_are_touched_page_by_page(self):
            for name in FILES:
                with self.subTest(file=name):
                    code = output_of("objdump", "-d", built(name))
                    self.assertTrue(re.search(r"\bor[ql] +\$0x0,(0x[0-9a-f]+)?\(%rsp", code))


if sanitizers():
    del TestCode

if __name__ == "__main__":
    unittest.main()
