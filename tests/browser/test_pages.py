"""Pages of real browsers that find each other at an index and open DataChannels."""

import sys
import unittest

from tests.e2e.test_webrtc import Agent
from tests.lib.pages import PageCase

OFFERING = ["creating-offer", "waiting-answer", "connecting", "connected"]
# `ready` may come by the poll before the index's word on the knock that it answers.
CALLER = [["requesting", "waiting-ready", *OFFERING], ["requesting", *OFFERING]]
CALLED = ["preparing", "ready", "offer-received", "answer-sent", "connecting", "connected"]
CROWD = 20
CALLED_PAGES = 12
TIMES = 8  # each: who knocks more often at once is passed over


class TestPages(PageCase):
    nodes = ("browser", "a", "z")

    def test_page_opens_a_channel_to_a_page(self):
        called, caller = self.joined("b", greets=True), self.joined("a")
        self.assertEqual(caller.run(
            'const {channel} = await here.connect("b"); return say(channel, "hello")'),
            "b heard hello of a")
        self.assertIn(caller.run("states.b"), CALLER)
        self.assertEqual(called.run("states.a"), CALLED)
        self.assertEqual(called.run("[...here.nodes.keys()]"), [])  # it only calls
        self.assertNothingLeft(caller, called)

    def test_page_calls_an_agent(self):
        agent = Agent(self.lab, "z", "page", self.url)
        self.addCleanup(agent.clean_up)
        page = self.joined("page", listed="true")
        page.run('window.call = await here.connect("z"); return null;')
        agent.wait_for("connected")
        page.run('call.channel.onmessage = ({data}) => window.heard = data; return null;')
        agent.tell("say from the agent")
        page.run('await until(() => window.heard === "from the agent"); return null;')
        page.run('call.channel.send("from the page"); return null;')
        self.assertEqual(agent.wait_for("message")["text"], "from the page")
        self.assertEqual(agent.end(), 0)
        self.assertNothingLeft(page)

    def test_agent_calls_a_page(self):
        page = self.joined("page", greets=True)
        agent = Agent(self.lab, "a", "page", self.url)
        self.addCleanup(agent.clean_up)
        agent.wait_for("connected")
        agent.tell("say hello")
        self.assertEqual(agent.wait_for("message")["text"], "page heard hello of a")
        self.assertEqual(agent.end(), 0)
        self.assertNothingLeft(page)

    def test_twenty_pages_all_connect_to_each_other(self):
        ids = [f"p{number:02}" for number in range(CROWD)]
        pages = [self.joined(id, greets=True) for id in ids]
        for place, page in enumerate(pages):
            page.run(f"window.said = Promise.all({ids[place + 1:]!r}.map(async (peer) => "
                     'say((await here.connect(peer)).channel, "hello"))); return null;')
        for place, page in enumerate(pages):
            self.assertEqual(page.run("await said"), [
                f"{peer} heard hello of {ids[place]}" for peer in ids[place + 1:]])
        for page in pages:
            self.assertEqual(page.run("open_()"), CROWD - 1)
        self.assertNothingLeft(*pages)

    def test_tabs_of_one_browser_share_its_connections(self):
        context = self.browser.context()
        tabs = [self.joined(f"t{number}", greets=True, context=context) for number in range(5)]
        for place, tab in enumerate(tabs[1:]):
            self.assertEqual(tab.run(
                f'return say((await here.connect("t{place}")).channel, "hello")'),
                f"t{place} heard hello of t{place + 1}")
        self.assertNothingLeft(*tabs)

    def test_media_goes_beside_the_channel(self):
        called = self.joined("b", greets=True, setup="""(connection) => {
            connection.ontrack = ({track}) => { window.heard = track.kind; };
        }""")
        caller = self.joined("a")
        self.assertEqual(caller.run("""
            const canvas = document.createElement("canvas");
            canvas.getContext("2d").fillRect(0, 0, 8, 8);
            const stream = canvas.captureStream(5);
            const setup = (connection) =>
                stream.getTracks().forEach((track) => connection.addTrack(track, stream));
            window.call = await here.connect("b", {setup});
            return say(call.channel, "hello");"""), "b heard hello of a")
        self.assertEqual(called.run("await until(() => window.heard); return window.heard;"),
                         "video")
        self.assertNothingLeft(caller, called)

    def test_how_long_it_takes(self):
        ids = [f"p{number:02}" for number in range(CALLED_PAGES)]
        called, caller = [self.joined(id, greets=True) for id in ids], self.joined("a")
        took = sorted(caller.run(f"""
            const took = [];
            for (let turn = 0; turn < {TIMES}; turn++) {{
                for (const peer of {ids!r}) {{
                    const start = performance.now();
                    const call = await here.connect(peer);
                    took.push(performance.now() - start);
                    call.close();
                    await call.closed;
                }}
            }}
            return took;"""))
        print(f"figure: {len(took)} connections of page to page: {took[len(took) // 2]:.0f} ms in "
              f"the middle, {took[len(took) * 99 // 100]:.0f} ms for 99 of 100", file=sys.stderr)
        self.assertNothingLeft(caller, *called)


if __name__ == "__main__":
    unittest.main()
