"""A tab in the background, which chromium really hides and throttles."""

import unittest

from tests.lib.pages import PageCase

# Timers of a hidden page come once a minute after this, instead of after five minutes.
SOON = "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1"
LATE_MS = 20000  # as no timer is late that comes once a second
WAIT_S = 200


class TestBackground(PageCase):
    flags = (SOON,)

    def test_hidden_and_throttled_tab_is_found_and_called(self):
        context = self.browser.context()
        hidden = self.joined("b", greets=True, context=context)
        self.assertEqual(hidden.run("document.visibilityState"), "visible")
        shown = self.joined("a", context=context)
        shown.call("Page.bringToFront")
        late = hidden.run(f"""
            for (let turn = 0; ; turn++) {{
                const start = performance.now();
                await new Promise((resolve) => setTimeout(resolve, 1000));
                const late = performance.now() - start - 1000;
                if (late > {LATE_MS}) return late;
            }}""", timeout=WAIT_S)
        self.assertGreater(late, LATE_MS)
        self.assertEqual(hidden.run("document.visibilityState"), "hidden")
        self.assertEqual(shown.run(
            'return say((await here.connect("b")).channel, "hello")'), "b heard hello of a")
        self.assertEqual(hidden.run("[document.visibilityState, here.index]"), ["hidden", "ready"])
        hidden.call("Page.bringToFront")
        self.assertNothingLeft(shown, hidden)


if __name__ == "__main__":
    unittest.main()
