"""What goes wrong between two pages, and what each of them is told."""

import json
import unittest

from tests.lib.pages import PageCase
from tests.browser.test_pages import CALLED, CALLER

# A `fetch` for `join` that does something to the messages of one type which this page sends.
MEDDLER = """
window.meddle = (act) => async (url, options = {}) => {
    const send = () => fetch(url, options);
    if (options.method !== "POST" || !String(url).includes("/mailbox/")) return send();
    return act(JSON.parse(options.body), send, url, options);
};
window.lost = () => new Response('{"seq": 1, "state": "queued", "expires_in": 10}',
    {status: 202, headers: {"Content-Type": "application/json"}});
return null;
"""
FAILED = ["failed", "retrying"]


class TestFaults(PageCase):
    nodes = ("browser", "other")
    rules = True
    port = 7117  # so that it is the same after a restart

    def meddling(self, id, act, **options):
        """A page whose messages go through `act(message, send)`."""
        page = self.page()
        page.run(MEDDLER)
        more = "".join(f", {name}: {text}" for name, text in options.items())
        page.run(f"await join({id!r}, {{fetch: meddle({act}){more}}}); return null;")
        return page

    def hello(self, caller, peer):
        return caller.run(
            f'return say((await here.connect({peer!r})).channel, "hello")')

    def assertReason(self, page, peer, code, sentence, **options):
        self.assertEqual(page.run(f"reason(here.connect({peer!r}, {json.dumps(options)}))"),
                         [True, code, sentence])

    def test_peer_that_is_offline(self):
        page = self.joined("a")
        self.assertReason(page, "agent-7", "offline", "agent-7 is offline", retries=1)
        self.assertEqual(page.run('states["agent-7"]'),
                         ["requesting", *FAILED, "requesting", "failed"])
        self.assertNothingLeft(page)

    def test_page_that_takes_no_calls_refuses(self):
        called, caller = self.joined("b"), self.joined("a")
        self.assertReason(caller, "b", "refused", "b refused")
        self.assertEqual(caller.run("states.b.at(-1)"), "failed")
        self.assertNothingLeft(called, caller)

    def test_knock_that_is_never_answered(self):
        page = self.joined("a")
        # A node whose mailbox nobody reads.
        page.run('await fetch("/register", {method: "POST", headers: {"Content-Type": '
                 '"application/json"}, body: \'{"id": "b", "ttl": 60}\'}); return null;')
        told = page.run('reason(here.connect("b", {retries: 0}))')
        self.assertEqual(told[:2], [True, "timeout"])
        self.assertEqual(page.run("states.b"), ["requesting", "waiting-ready", "failed"])
        self.assertNothingLeft(page)

    def test_answer_that_never_comes(self):
        called = self.meddling(
            "b", '(message, send) => message.type === "answer" ? lost() : send()', listed="true")
        called.run("here.onconnect = greet; return null;")
        caller = self.joined("a")
        self.assertReason(caller, "b", "timeout", "no answer from b in 10 s", retries=0)
        self.assertEqual(caller.run("states.b"),
                         ["requesting", "waiting-ready", "creating-offer", "waiting-answer",
                          "failed"])
        self.assertNothingLeft(called, caller)

    def test_candidates_of_one_end_that_are_lost(self):
        called = self.joined("b", greets=True)
        caller = self.meddling(
            "a", '(message, send) => message.type === "candidates" ? lost() : send()')
        self.assertEqual(self.hello(caller, "b"), "b heard hello of a")
        self.assertIn(caller.run("states.b"), CALLER)
        self.assertNothingLeft(called, caller)

    def test_candidates_that_come_before_the_description(self):
        called = self.joined("b", greets=True)
        caller = self.meddling("a", """async (message, send, url, options) => {
            if (message.type !== "offer") return send();
            const body = {gen: 0, candidates: [], end: false};
            await fetch(url, {...options, body: JSON.stringify(
                {id: crypto.getRandomValues(new Uint32Array(1))[0] + "", session: message.session,
                 type: "candidates", body})});
            return send();
        }""")
        self.assertEqual(self.hello(caller, "b"), "b heard hello of a")
        self.assertEqual(called.run("states.a"), CALLED)
        self.assertNothingLeft(called, caller)

    def test_messages_that_come_twice(self):
        # The index gives the first answer to a repeat; so the repeat has another id.
        twice = """async (message, send, url, options) => {
            const reply = await send();
            await fetch(url, {...options, body: JSON.stringify({...message, id: message.id + "-2"})});
            return reply;
        }"""
        called = self.meddling("b", twice, listed="true")
        called.run("here.onconnect = greet; return null;")
        caller = self.meddling("a", twice)
        self.assertEqual(self.hello(caller, "b"), "b heard hello of a")
        self.assertIn(caller.run("states.b"), CALLER)
        self.assertEqual(called.run("states.a"), CALLED)
        self.assertNothingLeft(called, caller)

    def test_both_call_at_once(self):
        pages = [self.joined(id, greets=True) for id in ("a", "b")]
        for page, peer in zip(pages, "ba"):
            page.run(f"window.call = here.connect({peer!r}); return null;")
        for page in pages:
            page.run("window.call = await call; return null;")
        pages[1].run("call.channel.onmessage = ({data}) => call.channel.send(data + '!');"
                     "return null;")
        self.assertEqual(pages[0].run('say(call.channel, "hello")'), "hello!")
        self.assertEqual([page.run("open_()") for page in pages], [1, 1])
        self.assertNothingLeft(*pages)

    def test_index_that_restarts_in_the_middle(self):
        called, caller = self.joined("b", greets=True), self.joined("a")
        caller.run('window.first = await here.connect("b"); return null;')
        self.index.kill()
        self.assertEqual(caller.run('say(first.channel, "still there")'),
                         "b heard still there of a")
        caller.run('first.close(); window.second = here.connect("b"); return null;')
        self.index.start()  # on the same port, with its file
        self.assertEqual(caller.run('say((await second).channel, "again")'), "b heard again of a")
        self.assertNothingLeft(called, caller)

    def test_paths_that_are_closed(self):
        other = self.opens(where="other")
        called = self.page(browser=other)
        called.run('await join("b", {listed: true}); here.onconnect = greet; return null;')
        caller = self.joined("a")
        self.lab.cut(("browser", "other"))
        told = caller.run('reason(here.connect("b", {retries: 0}))')
        self.assertEqual(told, [True, "no-path", "no path between the two networks: no pair of "
                                "addresses worked"])
        self.lab.heal()
        self.assertEqual(self.hello(caller, "b"), "b heard hello of a")
        self.assertNothingLeft(called, caller)

    def test_page_that_is_closed_in_the_middle(self):
        called, caller = self.joined("b", greets=True), self.joined("a", greets=True)
        caller.run('window.call = await here.connect("b");'
                   'call.closed.then(() => window.ended = true); return null;')
        watch = self.joined("w")
        watch.run('await until(() => here.nodes.has("b")); return null;')
        called.go("about:blank")
        watch.run('await until(() => !here.nodes.has("b")); return null;')  # it left
        caller.run("await until(() => window.ended); return null;")
        self.assertNothingLeft(caller, watch)

    def test_call_that_is_called_off(self):
        page = self.joined("a")
        self.assertEqual(page.run("""
            const off = new AbortController();
            const told = reason(here.connect("b", {signal: off.signal}));
            off.abort();
            return told;"""), [True, "aborted", "it was called off"])
        self.assertNothingLeft(page)


if __name__ == "__main__":
    unittest.main()
