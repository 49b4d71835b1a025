"""A tab in the background, which chromium really hides and throttles."""

import unittest

from tests.lib.pages import PageCase

# So soon, and not after minutes, timers of a hidden page come once a second, then once a minute.
THROTTLED = "--intensive-wake-up-throttling-policy"


class TestBackground(PageCase):
    def test_hidden_tab_is_found_and_called(self):
        context = self.browser.context()
        hidden = self.joined("b", greets=True, context=context)
        self.assertEqual(hidden.run("document.visibilityState"), "visible")
        shown = self.joined("a", context=context)
        shown.call("Page.bringToFront")
        hidden.run('await until(() => document.visibilityState === "hidden"); return null;')
        self.assertEqual(shown.run(
            'return say((await here.connect("b")).channel, "hello")'), "b heard hello of a")
        self.assertEqual(hidden.run("document.visibilityState"), "hidden")
        hidden.call("Page.bringToFront")
        shown.run('await until(() => document.visibilityState === "hidden"); return null;')
        self.assertNothingLeft(hidden, shown)


if __name__ == "__main__":
    unittest.main()
