"""The demo page, in a browser: two users who see, call and write to each other."""

import os
import tempfile
import unittest

from tests.lib.pages import PageCase

SIZES = ((390, 844, True), (820, 1180, False), (1440, 900, False))


class TestDemo(PageCase):
    arguments = ("--demo",)

    def test_two_pages_chat(self):
        first, second = (self.browser.page(self.url + "/demo") for _ in range(2))
        for page in (first, second):
            page.call("Runtime.enable")
            self.assertEqual(page.run("document.title.length > 0"), True)
            self.assertEqual(page.errors, [])
        folder = os.environ.get("SIGNPOST_PICTURES") or tempfile.mkdtemp()
        for width, height, mobile in SIZES:
            for dark in (False, True):
                first.size(width, height, mobile, dark)
                first.picture(os.path.join(folder, f"demo-{width}{'-dark' if dark else ''}.png"))
                # Nothing is wider than the window.
                self.assertLessEqual(first.run("document.documentElement.scrollWidth"), width)


if __name__ == "__main__":
    unittest.main()
