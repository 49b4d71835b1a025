"""The status page in a browser: what it shows, how it follows, and who can use it."""

import json
import os
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from tests.lib.case import HttpCase
from tests.lib.chromium import BINARY, Chromium
from tests.lib.http import Client
from tests.lib.index import NO_NODE_CAPS, clean_environment
from tests.lib.keys import KeysFile
from tests.lib.pages import PageCase

SIZES = ((360, 640, True), (768, 1024, False), (1440, 900, False))
NARROWEST = 320
LONG = 7200  # of a lease that outlives the test
PATIENCE_S = 60
LONG_TASK_MS = 1000  # none longer, though everything here shares a few processors
EVIL = '</td><script>window.evil = 1</script><img src=x onerror="window.evil = 2">&lt;\'"'

PRELUDE = """
const set = setTimeout;
window.$ = (selector) => document.querySelector(selector);
window.until = async (is) => {
    for (;;) {
        const value = is();
        if (value) return value;
        await new Promise((resolve) => set(resolve, 20));
    }
};
window.says = (selector, text) => until(() => $(selector)?.textContent.includes(text));
window.ids = () => [...document.querySelectorAll("#rows th")].map((one) => one.textContent);
window.row = (id) => [...document.querySelectorAll("#rows tr")]
    .find((one) => one.firstChild.textContent === id);
window.texts = (id) => [...row(id).children].map((one) => one.textContent);
return null;
"""

# The least contrast of any text with what is behind it, and where that is.
CONTRAST = """
const parse = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => {
    const [r, g, b] = color.map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
        const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
        if (a) return [r, g, b];
    }
};
let least = [21, ""];
for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!own || element.closest("script, noscript, [hidden]") || element.disabled) continue;
    const [r, g, b] = parse(getComputedStyle(element).color);
    const [one, two] = [light([r, g, b]), light(behind(element))].sort();
    const contrast = (two + 0.05) / (one + 0.05);
    if (contrast < least[0]) least = [contrast, element.outerHTML.slice(0, 200)];
}
return least;
"""


class StatusPages:
    """What both kinds of tests do with a page; each sees that it had no error and broke no policy."""

    def opened(self, path="/", context=None, scripts=True, before=""):
        """`before`: a script that runs before the page's own."""
        page = self.browser.page("about:blank", context)
        said = []

        def hear(method, params):
            page._hear(method, params)
            if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                said.append(params["entry"])
            elif method == "Runtime.consoleAPICalled":
                said.append(params)
        self.browser.listeners[page.session] = hear
        page.call("Log.enable")
        if not scripts:
            page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        page.go(self.url + path)
        if scripts:
            page.run(PRELUDE)
        page.said = said
        return page

    def assertClean(self, page, *but):
        """No exception, nothing on the console; `but`: what is said of a request that fails."""
        self.assertEqual(page.errors, [])
        self.assertEqual([entry for entry in page.said
                          if not any(text in entry.get("text", "") for text in but)], [])

    def looks(self, page, name):
        """At all sizes and in both colours it fits, and can be read; where SIGNPOST_PICTURES names
        a folder, to be seen."""
        folder = os.environ.get("SIGNPOST_PICTURES")
        for width, height, mobile in (*SIZES, (NARROWEST, 568, True)):
            for dark in (False, True):
                page.size(width, height, mobile, dark)
                with self.subTest(name=name, width=width, dark=dark):
                    self.assertLessEqual(page.run("document.documentElement.scrollWidth"), width)
                    contrast, where = page.run(CONTRAST)
                    self.assertGreaterEqual(contrast, 4.5, where)
                if folder and width != NARROWEST:
                    page.picture(os.path.join(
                        folder, f"{name}-{width}{'-dark' if dark else ''}.png"))

    def key(self, page, key, text=None):
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=codes.get(key, 0),
                      **({"text": text} if text and kind == "keyDown" else {}))

    def tab_to(self, page, is_it):
        """By the keyboard alone; what has the focus can be seen to have it."""
        for _ in range(60):
            self.key(page, "Tab")
            if page.run(f"(({is_it}))(document.activeElement)"):
                self.assertNotEqual(page.run(
                    "getComputedStyle(document.activeElement).outlineStyle"), "none")
                return
        self.fail("the keyboard does not get there: " + is_it)


class TestStatus(StatusPages, PageCase):
    arguments = NO_NODE_CAPS
    port = 7117  # so that it is the same after a restart

    def setUp(self):
        super().setUp()
        self.acts_as("browser")
        self.client = Client(self.index)
        self.addCleanup(lambda: self.client.close())

    def register(self, id, **members):
        reply = self.client.post("/register", {"id": id, "ttl": LONG, **members})
        self.assertIn(reply.status, (200, 201), reply)
        return reply["token"]

    def fill(self, count):
        for number in range(count):
            self.register(f"n{number:05}", endpoints=["udp://:4000"], meta={"role": "ab"[number % 2]})

    def furnished(self):
        """Three nodes as they may be, with mail."""
        self.register("master-a", endpoints=["grpc://:50051", "udp://:4000"],
                      meta={"role": "master", "version": "2.4.1", "region": "eu-west"})
        token = self.register("sensor-17", endpoints=["https://:8443"], meta={
            "role": "sensor", "tags": ["lab", "roof"], "note": "what is longer opens on demand " * 3})
        self.register("3f0c1f4e-52c1-4a3b-8e1b-0a4d5f7f2c11")
        for number in range(3):
            self.client.post("/mailbox/master-a", {
                "id": f"m{number}", "type": "offer", "body": {}}, token=token)

    def live(self, path="/"):
        """It follows, and has drawn who is here: that comes a frame after it says so."""
        page = self.opened(path)
        page.run("await says('#state', 'Live');"
                 "await until(() => /^\\d/.test($('#count').textContent)); return null;")
        return page

    # --- looking ------------------------------------------------------------------------------

    def test_page_with_nobody(self):
        page = self.live()
        self.assertEqual(page.run("[$('#empty').textContent, $('#count').textContent, ids()]"),
                         ["Nobody is here.", "0 nodes in the network default", []])
        self.looks(page, "nobody")
        self.assertClean(page)

    def test_page_with_three(self):
        self.furnished()
        page = self.live()
        page.run("await until(() => texts('master-a')[5] === '3'); return null;")
        texts = page.run("texts('master-a')")
        self.assertIn("grpc://", texts[1])
        self.assertRegex(texts[2], r"^\d+ s$")
        self.assertRegex(texts[3], r"^\d+ s ago$")
        self.assertRegex(texts[4], r"^(1 h 59 min|2 h)$")
        self.assertEqual(page.run("$('#count').textContent"), "3 nodes in the network default")
        before = page.run("texts('master-a')[2]")
        page.run(f"await until(() => texts('master-a')[2] !== {before!r}); return null;")
        page.run("row('sensor-17').querySelector('summary').click(); return null;")
        self.looks(page, "three")
        self.assertClean(page)

    def test_page_with_a_thousand_stays_smooth(self):
        self.fill(1000)
        page = self.opened(before="""
            window.tasks = [];
            new PerformanceObserver((list) => tasks.push(...list.getEntries()
                .map((entry) => Math.round(entry.duration)))).observe({entryTypes: ["longtask"]});""")
        page.run("await says('#state', 'Live'); await says('#range', '1 to 100 of 1,000');"
                 "return null;")
        ready = page.run("performance.now()")
        page.run("$('#next').click(); await says('#range', '101 to 200 of 1,000'); return null;")
        self.assertEqual(page.run("ids().length"), 100)
        page.run("""
            $("#filter").value = "n0099";
            $("#filter").dispatchEvent(new Event("input"));
            await says("#count", "10 of 1,000 nodes"); return null;""")
        self.assertEqual(page.run("ids()"), [f"n{number:05}" for number in range(990, 1000)])
        page.run("""
            $("#filter").value = "";
            $("#filter").dispatchEvent(new Event("input"));
            await says("#range", "1 to 100 of 1,000"); return null;""")
        for number in range(20):
            self.register(f"m{number}")
        page.run("await says('#range', '1 to 100 of 1,020'); return null;")
        tasks = page.run("tasks")
        self.assertLess(max(tasks, default=0), LONG_TASK_MS)
        print(f"figure: 1,000 nodes: live {ready:.0f} ms after the navigation, long tasks of {tasks} ms")
        self.looks(page, "thousand")
        self.assertClean(page)

    def test_page_with_more_than_it_keeps_says_so(self):
        self.fill(5200)
        page = self.live()
        page.run("await says('#hint', 'the first 5,000'); return null;")
        self.assertEqual(page.run("$('#range').textContent"), "1 to 100 of 5,000")
        self.register("n09999")  # behind what is kept
        self.register("a")
        page.run("await says('#range', '1 to 100 of 5,001'); return null;")
        self.assertEqual(page.run("ids()[0]"), "a")
        self.register("z", meta={"role": "z"})
        page.run("""
            $("#filter").value = "meta.role=z";
            $("#filter").dispatchEvent(new Event("input"));
            await says("#count", "1 node in the network default, where role is z"); return null;""")
        self.assertEqual(page.run("[ids(), $('#hint').textContent]"), [["z"], ""])
        self.assertClean(page)

    def test_page_without_javascript(self):
        self.furnished()
        page = self.opened(scripts=False)
        text = page.run("return document.body.innerText")
        for word in ("master-a", "udp://", "Nodes in all", "curl INDEX/list", "1 h 59 min"):
            self.assertIn(word, text)
        self.assertEqual(page.run("document.querySelectorAll('button:not([hidden] *, [hidden])')"
                                  ".length"), 0)
        self.looks(page, "plain")
        page.go(self.url + "/?limit=1")
        with page.loading():
            page.run("document.querySelector('nav a').click(); return null;")
        self.assertEqual(page.run("document.querySelector('#rows th').textContent"), "master-a")
        self.assertClean(page)

    def test_page_with_strangers_strings_runs_none(self):
        self.register("evil", meta={EVIL: EVIL})
        page = self.live()
        self.register("evil-2", meta={EVIL: [EVIL]}, endpoints=["udp://:1"])
        page.run("await until(() => row('evil-2')); return null;")
        self.assertIsNone(page.run("window.evil ?? null"))
        self.assertEqual(page.run("document.querySelectorAll('img').length"), 0)
        self.assertIn(EVIL, page.run("JSON.parse(row('evil').querySelector('details > code')"
                                     ".textContent)[%s]" % repr(EVIL)))
        self.assertClean(page)

    # --- following ----------------------------------------------------------------------------

    def test_page_follows_who_comes_and_goes(self):
        page = self.live()
        token = self.register("ann")
        page.run("await until(() => row('ann')); return null;")
        self.assertEqual(page.run("$('#count').textContent"), "1 node in the network default")
        self.client.post("/register", {"id": "ann", "ttl": LONG, "meta": {"role": "x"},
                                       "token": token})
        page.run("await until(() => texts('ann')[6] === '{\"role\":\"x\"}'); return null;")
        self.client.delete("/nodes/ann", token=token)
        page.run("await until(() => !row('ann')); await says('#empty', 'Nobody'); return null;")
        self.assertClean(page)

    def test_page_comes_back_with_the_index(self):
        self.register("ann")
        page = self.live()
        self.index.kill()
        page.run("await says('#state', 'cannot be reached'); return null;")
        self.looks(page, "unreachable")
        self.assertEqual(page.run("ids()"), ["ann"])
        self.index.start()
        self.client.close()
        self.client = Client(self.index)
        self.register("ben")
        page.run("await says('#state', 'Live'); await until(() => row('ben')); return null;")
        self.assertClean(page, "Failed to load resource")

    def assertComesToWait(self, count):
        """The index says that so many polls wait."""
        deadline = time.monotonic() + PATIENCE_S
        while self.client.get("/")["load"]["waiting"] != count:
            self.assertLess(time.monotonic(), deadline, f"there never are {count} polls")

    def test_page_that_is_hidden_asks_nothing(self):
        context = self.browser.context()
        page = self.opened(context=context)
        page.run("await says('#state', 'Live'); return null;")
        self.assertComesToWait(1)
        other = self.browser.page(self.url + "/healthz", context)
        other.call("Page.bringToFront")
        self.assertComesToWait(0)
        self.assertEqual(page.run("[document.visibilityState, $('#state').textContent]"),
                         ["hidden", "Paused while it is not seen"])
        self.register("ann")
        page.call("Page.bringToFront")
        page.run("await until(() => row('ann')); await says('#state', 'Live'); return null;")
        self.assertClean(page)

    def test_page_of_another_network(self):
        self.register("ann", network="blue")
        page = self.live("/?network=blue")
        self.assertEqual(page.run("[ids(), $('#network').value]"), [["ann"], "blue"])
        page.go(self.url + "/?network=a+b")
        page.run(PRELUDE)
        self.assertIn("a character that is not allowed", page.run("$('#note').textContent"))
        self.looks(page, "refused")
        self.assertClean(page, "Failed to load resource", "400")

    def test_lines_for_curl_have_nothing_of_a_link(self):
        for network in ("';touch${IFS}x;'", "$(id)", "`id`", '";id;"', "a b", "a" * 65):
            page = self.opened("/?" + urllib.parse.urlencode({"network": network}))
            self.assertEqual(page.run("$('#network').value"), network)
            self.assertEqual(page.run("$('[data-line=list]').textContent"),
                             f"curl '{self.url}/list'")
            self.assertNotIn(network, page.run("$('#lines').textContent"))
            page.close()

    # --- using it -----------------------------------------------------------------------------

    def test_page_can_be_used_with_the_keyboard_alone(self):
        for number, id in enumerate(("ann", "ben", "cat")):
            self.register(id, ttl=LONG - number)
        page = self.live()
        self.tab_to(page, "(one) => one.textContent === 'Lease left'")
        self.key(page, "Enter", "\r")
        page.run("await until(() => ids().join() === 'cat,ben,ann'); return null;")
        self.assertEqual(page.run("$('[aria-sort]').dataset.by + $('[aria-sort]').ariaSort"),
                         "endsascending")
        self.key(page, " ", " ")
        page.run("await until(() => ids().join() === 'ann,ben,cat'); return null;")
        self.assertEqual(page.run("$('[aria-sort]').ariaSort"), "descending")
        self.tab_to(page, "(one) => one.ariaLabel === 'Copy: List who is here'")
        self.key(page, "Enter", "\r")
        page.run("await says('#copied', 'copied: List who is here'); return null;")
        self.key(page, "Tab")  # it goes on from there
        self.assertIn("Register", page.run("document.activeElement.ariaLabel"))
        page.run("scrollTo(0, 0); document.activeElement.blur(); $('h1').tabIndex = -1;"
                 "$('h1').focus(); return null;")
        self.tab_to(page, "(one) => one.id === 'filter'")
        page.call("Input.insertText", text="be")
        page.run("await says('#count', '1 of 3 nodes'); return null;")
        self.assertEqual(page.run("ids()"), ["ben"])
        self.assertClean(page)

    def test_page_has_names_for_those_who_hear_it(self):
        self.furnished()
        for width in (1440, 360):  # the table stays one where it looks like cards
            page = self.live()
            page.size(width, 900, width < 500)
            page.call("Accessibility.enable")
            told = {}
            for node in page.call("Accessibility.getFullAXTree")["nodes"]:
                if not node.get("ignored"):
                    told.setdefault(node["role"]["value"], []).append(
                        node.get("name", {}).get("value", ""))
            self.assertEqual(told["table"], ["Nodes that are registered, a row each"])
            heads = [name.strip(" ↑↕") for name in told["columnheader"]]
            self.assertEqual(heads[0], "Node")
            for name in ("Here for", "Last heard", "Lease left", "Mail"):
                self.assertIn(name, heads)
            self.assertIn("master-a", told["rowheader"])
            self.assertEqual(len(told["row"]), 4)
            self.assertEqual((len(told["main"]), len(told["banner"])), (1, 1))
            self.assertEqual(sorted(told["region"]), ["The index", "Who is here", "With curl"])
            self.assertEqual([name for name in told["button"] if not name], [])
            self.assertIn("Copy: List who is here", told["button"])
            self.assertEqual(told["searchbox"], ["Filter"])
            self.assertIn("Network", told["textbox"])
            self.assertGreaterEqual(len(told["status"]), 2)
            self.assertEqual(page.run("document.documentElement.lang"), "en")
            self.assertEqual(page.run("$('#said').textContent"), "3 nodes in the network default")
            self.assertClean(page)
            page.close()

    def test_count_is_not_read_out_at_every_change(self):
        page = self.live()
        page.run("""
            window.told = 0;
            new MutationObserver(() => told++).observe($("#said"),
                {childList: true, characterData: true, subtree: true});
            return null;""")
        for number in range(20):
            self.register(f"n{number}")
            page.run(f"await until(() => row('n{number}')); return null;")
        self.assertLessEqual(page.run("told"), 2)

    def test_lines_for_curl_work_as_they_stand(self):
        page = self.live("/?network=blue")
        lines = page.run("Object.fromEntries([...document.querySelectorAll('[data-line]')]"
                         ".map((one) => [one.dataset.line, one.textContent]))")

        def does(name, **environment):
            done = subprocess.run(
                [*self.lab.within("browser"), "sh", "-c", lines[name].replace("curl", "curl -sS")],
                env=clean_environment(**environment), capture_output=True, text=True, timeout=60,
                check=True)
            return json.loads(done.stdout)
        self.assertEqual(does("list")["nodes"], [])
        made = does("register")
        self.assertEqual((made["id"], made["network"]), ("me", "blue"))
        self.assertEqual(does("heartbeat", TOKEN=made["token"])["ttl"], 30)
        self.assertEqual([node["id"] for node in does("watch")["nodes"]], ["me"])
        self.assertClean(page)


class TestKeyed(StatusPages, HttpCase):
    """An index of this machine with join keys."""

    def setUp(self):
        super().setUp()
        if not os.path.exists(BINARY):
            self.skipTest("chromium is not installed")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        keys = KeysFile(folder.name)
        self.blue = keys.add("blue", "blue")
        self.start("--keys", keys.path)
        self.url = f"http://127.0.0.1:{self.index.port}"
        self.client.post("/register", {"id": "b1", "ttl": LONG}, token=self.blue)
        self.browser = Chromium(self)

    def enter(self, page, key):
        page.run("$('#secret').focus(); return null;")
        page.call("Input.insertText", text=key)
        self.key(page, "Enter", "\r")

    def test_page_asks_for_the_key_and_forgets_it(self):
        page = self.opened()
        self.assertEqual(page.run("[$('#key').hidden, $('#people').hidden, ids(),"
                                  "document.activeElement.id]"), [False, True, [], "secret"])
        self.looks(page, "key")
        self.assertClean(page)
        for wrong, sentence in (("spk_" + "x" * 43, "knows no such join key"),
                                ("é", "spk_ and 43 characters")):
            self.enter(page, wrong)
            page.run(f"await says('#note', {sentence!r}); return null;")
            self.assertEqual(page.run("[$('#key').hidden, $('#people').hidden]"), [False, True])
        self.assertEqual(page.run("sessionStorage.length"), 0)
        self.looks(page, "wrong-key")
        self.enter(page, self.blue)
        page.run("await says('#state', 'Live'); await until(() => row('b1')); return null;")
        self.assertEqual(page.run("[$('#count').textContent, $('#note').textContent,"
                                  "$('#choose').hidden, location.pathname + location.search]"),
                         ["1 node in the network blue", "", True, "/"])
        self.assertEqual(page.run("[sessionStorage['signpost-key'], localStorage.length,"
                                  "document.cookie]"), [self.blue, 0, ""])
        self.assertNotIn(self.blue, page.run("document.documentElement.outerHTML"))
        page.run("await until(() => $('[data-load=nodes]').parentElement.hidden); return null;")
        self.looks(page, "keyed")
        with page.loading():
            page.call("Page.reload")
        page.run(PRELUDE)
        page.run("await until(() => row('b1')); return null;")
        with page.loading():
            page.run("$('#forget').click(); return null;")
        self.assertEqual(page.run("[document.querySelector('#key').hidden, sessionStorage.length]"),
                         [False, 0])
        self.assertClean(page, "401")

    def test_another_tab_has_not_the_key(self):
        context = self.browser.context()
        page = self.opened(context=context)
        self.enter(page, self.blue)
        page.run("await until(() => row('b1')); return null;")
        other = self.opened(context=context)
        self.assertEqual(other.run("[$('#key').hidden, ids()]"), [False, []])

    def test_page_copies_by_the_clipboard(self):
        page = self.opened()
        self.enter(page, self.blue)
        page.run("await until(() => row('b1')); return null;")
        self.browser.call("Browser.grantPermissions", browserContextId=page.context,
                          permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        page.run("$('.line button').click(); await says('#copied', 'copied'); return null;")
        self.assertEqual(page.run("navigator.clipboard.readText()"),
                         f"curl '{self.url}/list' -H \"Authorization: Bearer $SIGNPOST_KEY\"")

    def test_page_without_javascript_says_what_to_do(self):
        page = self.opened(scripts=False)
        self.assertIn("this page needs JavaScript", page.run("return document.body.innerText"))
        self.looks(page, "plain-keyed")
        self.assertClean(page)


if __name__ == "__main__":
    unittest.main()
