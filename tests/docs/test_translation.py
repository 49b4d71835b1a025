"""README.zh-CN.md says what README.md says: as far as a program can tell."""

import itertools
import re
import unittest

from tests.docs import markdown
from tests.docs.case import DocsCase

PAGE, TRANSLATION = "README.md", "README.zh-CN.md"


def without_comments(fence):
    """Lines of a fence; what stands after # or //, and in prose, may be in another language."""
    return [re.sub(r"(^|\s+)(#(?!include)|//(?!\S)) ?.*$", "", text) for text in fence.lines]


class TestTranslation(DocsCase):
    def assertSame(self, what, ours, theirs):
        """Lists of (where, thing); the first that differs is named."""
        for left, right in itertools.zip_longest(ours, theirs, fillvalue=(None, None)):
            if left[1] != right[1]:
                self.fail(f"the first {what} that differs:\n"
                          f"  {PAGE}:{left[0] or ' has no more'}: {left[1]}\n"
                          f"  {TRANSLATION}:{right[0] or ' has no more'}: {right[1]}")

    def test_headings_have_the_same_levels_in_the_same_order(self):
        def levels(page):
            return [(text, level) for level, text, _ in markdown.headings(page)]
        self.assertSame("level of a heading", levels(PAGE), levels(TRANSLATION))

    def test_fences_say_the_same(self):
        def words(page):
            return [(fence.line, (fence.word, fence.mark, fence.saved_as))
                    for fence in markdown.split(page)[0]]
        self.assertSame("fence", words(PAGE), words(TRANSLATION))

    def test_commands_and_code_are_the_same(self):
        """A picture of folders is prose, and has only to have the same folders."""
        def lines(page):
            return [(fence.line + number, text) for fence in markdown.split(page)[0]
                    for number, text in enumerate(
                        without_comments(fence) if fence.word != "text"
                        else [text.split("  ")[0] for text in fence.lines], 1)]
        self.assertSame("line", lines(PAGE), lines(TRANSLATION))

    def test_tables_have_the_same_options(self):
        """First cells that are code have to be the same; words are translated."""
        def cells(page):
            return [(f" table {number}", cell if "`" in cell else bool(cell))
                    for number, rows in enumerate(markdown.first_columns(page), 1)
                    for cell in rows]
        self.assertSame("cell", cells(PAGE), cells(TRANSLATION))

    def test_links_lead_to_the_same_places(self):
        """In the same order, but for the links of the two pages to each other."""
        def targets(page):
            return [(line, target) for line, target in markdown.links(page)
                    if target not in (PAGE, TRANSLATION) and not target.startswith("#")]
        self.assertSame("link", targets(PAGE), targets(TRANSLATION))

    def test_chinese_has_its_own_punctuation(self):
        """U+FF0C and its like, wherever a mark stands beside a Chinese character."""
        beside = re.compile("[\u4e00-\u9fff][,:;?()]|[,:;?()][\u4e00-\u9fff]")
        self.assertNone([
            f"{TRANSLATION}:{number}: {match[0]}" for number, text in markdown.split(TRANSLATION)[1]
            for match in beside.finditer(re.sub(r"`[^`]*`|\]\([^)]*\)", "", text))])


if __name__ == "__main__":
    unittest.main()
