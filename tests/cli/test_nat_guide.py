"""docs/nat.md and the pictures: a section and a picture for each verdict, and every picture as
docs/pictures/make.py draws it."""

import glob
import importlib.util
import os
import re
import unittest
import xml.etree.ElementTree as ElementTree

from tests.lib.index import ROOT

GUIDE = os.path.join(ROOT, "docs", "nat.md")
HEADER = os.path.join(ROOT, "client", "signpost.h")
PICTURES = os.path.join(ROOT, "docs", "pictures")
SVG = "{http://www.w3.org/2000/svg}"
SIZE_MAX = 4096
COLUMNS_MAX = 120
CHARACTER_WIDTH = 7.2  # of the text in a picture, on the average at most


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def drawn():
    spec = importlib.util.spec_from_file_location("make", os.path.join(PICTURES, "make.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_all()


def anchor(heading):
    """As the usual renderers make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def span(text):
    """Where a text of a picture stands: left, right, top, bottom."""
    middle, base = float(text.get("x")), float(text.get("y"))
    half = len(text.text) * CHARACTER_WIDTH / 2
    return middle - half, middle + half, base - 10, base + 3


class PictureTest(unittest.TestCase):
    def setUp(self):
        self.files = {os.path.basename(path): read(path)
                      for path in glob.glob(os.path.join(PICTURES, "*.svg"))}

    def test_pictures_are_as_they_are_drawn(self):
        self.assertEqual(self.files, drawn(), "run docs/pictures/make.py, and commit what it wrote")

    def test_pictures_are_small_and_say_what_they_show(self):
        self.assertGreaterEqual(len(self.files), 14)
        for name, svg in self.files.items():
            with self.subTest(name):
                self.assertLess(len(svg.encode()), SIZE_MAX)
                root = ElementTree.fromstring(svg)
                self.assertTrue(root.find(SVG + "title").text)
                self.assertTrue(root.find(SVG + "desc").text)
                self.assertIn("prefers-color-scheme:dark", svg)

    def test_texts_of_a_picture_do_not_overlap_and_stay_inside(self):
        for name, svg in self.files.items():
            root = ElementTree.fromstring(svg)
            width, height = (float(value) for value in root.get("viewBox").split()[2:])
            spans = [(text.text, span(text)) for text in root.iter(SVG + "text")]
            for place, (words, (left, right, top, bottom)) in enumerate(spans):
                self.assertTrue(0 < left and right < width and 0 < top and bottom < height,
                                (name, words))
                for other, (left2, right2, top2, bottom2) in spans[:place]:
                    apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
                    self.assertTrue(apart, (name, words, other))


class GuideTest(unittest.TestCase):
    def setUp(self):
        self.guide = read(GUIDE)
        self.headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", self.guide, flags=re.S),
                                   re.M)

    def test_each_verdict_has_its_section_and_its_row(self):
        verdicts = re.findall(r'X\([A-Z_]+, (\d+), "([^"]+)"\)', read(HEADER))
        self.assertEqual(len(verdicts), 14)
        for number, name in verdicts:
            heading = f"{number} {name}"
            self.assertIn(heading, self.headings)
            self.assertIn(f"| {number} | [{name}](#{anchor(heading)}) |", self.guide)

    def test_each_picture_is_shown_once_and_is_there(self):
        shown = re.findall(r"!\[[^\]]+\]\(pictures/([^)]+)\)", self.guide)
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            shown += re.findall(r"!\[[^\]]+\]\(docs/pictures/([^)]+)\)", file.read())
        self.assertEqual(sorted(shown), sorted(drawn()))

    def test_links_within_lead_somewhere(self):
        anchors = {anchor(heading) for heading in self.headings}
        for link in re.findall(r"\]\(#([^)]+)\)", self.guide):
            self.assertIn(link, anchors)
        for file in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", self.guide):
            self.assertTrue(os.path.exists(os.path.join(ROOT, "docs", file)), file)

    def test_lines_are_short(self):
        for number, line in enumerate(self.guide.splitlines(), 1):
            self.assertLessEqual(len(line), COLUMNS_MAX, number)


if __name__ == "__main__":
    unittest.main()
