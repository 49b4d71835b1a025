"""The demo page, in a browser: two users who see, call and write to each other."""

import os
import tempfile
import unittest

from tests.lib.pages import PageCase

SIZES = ((390, 844, True), (820, 1180, False), (1440, 900, False))
FILE = "a file that is sent"


class TestDemo(PageCase):
    arguments = ("--demo",)

    def joined_as(self, name):
        page = self.browser.page(self.url + "/demo")
        page.run("""
            const set = setTimeout;
            window.until = async (is) => {
                for (;;) {
                    const value = is();
                    if (value) return value;
                    await new Promise((resolve) => set(resolve, 20));
                }
            };
            window.$ = (selector) => document.querySelector(selector);
            window.says = (selector, text) => until(() => $(selector)?.textContent.includes(text));
            return null;""")
        page.run(f"$('[name=id]').value = {name!r}; $('form.join button').click(); return null;")
        page.run(f"await says('.status', 'You are {name}'); return null;")
        return page

    def looks(self, page, name):
        """At all sizes, in both colours; where SIGNPOST_PICTURES names a folder, to be seen."""
        folder = os.environ.get("SIGNPOST_PICTURES")
        for width, height, mobile in SIZES:
            for dark in (False, True):
                page.size(width, height, mobile, dark)
                self.assertLessEqual(page.run("document.documentElement.scrollWidth"), width)
                if folder:
                    page.picture(os.path.join(
                        folder, f"demo-{name}-{width}{'-dark' if dark else ''}.png"))

    def test_two_users_meet(self):
        ann, ben = self.joined_as("ann"), self.joined_as("ben")
        ann.run("(await until(() => $('[aria-label=\"Connect to ben\"]'))).click(); return null;")
        for page in (ann, ben):
            page.run("await says('.state', 'connected'); return null;")
            page.run("await says('.path', 'direct: host to host, udp');"
                     "await says('.candidates', 'ours host'); await says('.trip', ' ms');"
                     "return null;")
        ann.run("$('.peers input[name=text]').value = 'hello'; $('.peers form .strong').click();"
                "return null;")
        ben.run("await says('.talk', 'ann: hello'); return null;")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(FILE)
            file.flush()
            document = ben.call("DOM.getDocument")["root"]["nodeId"]
            node = ben.call("DOM.querySelector", nodeId=document,
                            selector="input[type=file]")["nodeId"]
            ben.call("DOM.setFileInputFiles", files=[file.name], nodeId=node)
            ben.run(f"await says('.talk', 'sent, {len(FILE)} bytes'); return null;")
        # What it holds cannot be read here: the policy lets the page ask the index alone.
        self.assertRegex(ann.run("(await until(() => $('.talk a'))).textContent"),
                         rf", {len(FILE)} bytes$")
        self.looks(ann, "connected")
        ben.run("$('.hang-up').click(); return null;")
        ann.run("await says('.talk', 'the connection has ended'); return null;")
        ann.run("$('.leave').click(); await says('.status', 'You have left'); return null;")
        ben.run("await until(() => !$('[data-id=ann]')); return null;")
        self.assertEqual((ann.errors, ben.errors), ([], []))


if __name__ == "__main__":
    unittest.main()
