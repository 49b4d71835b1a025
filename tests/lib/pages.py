"""Pages of a real chromium that have the module of the index, in a network of their own."""

import os

from tests.lib.chromium import BINARY, Chromium
from tests.lib.lab import LabCase

# What a test page has: `join(id, options)` gives a `here` whose states are written down; every
# peer connection and timer of the page is counted.
PRELUDE = """
const {Signpost, SignpostError} = await import("/signpost.js");
window.connections = [];
const Native = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Native {
    constructor(config) { super(config); connections.push(this); }
};
window.open_ = () => connections.filter((one) => one.connectionState !== "closed").length;
const {setTimeout: set, clearTimeout: clear} = window;
window.timers = new Set();
window.setTimeout = (act, ms, ...rest) => {
    const timer = set(() => { timers.delete(timer); act(...rest); }, ms);
    timers.add(timer);
    return timer;
};
window.clearTimeout = (timer) => { timers.delete(timer); clear(timer); };
window.join = async (id, options = {}) => {
    const here = await Signpost.join(location.origin, {id, ...options});
    window.states = {};
    here.addEventListener("state", ({peer, state}) => (states[peer] ??= []).push(state));
    return window.here = here;
};
window.greet = ({peer, channel}) => {
    channel.onmessage = ({data}) => channel.send(`${here.id} heard ${data} of ${peer}`);
};
window.say = (channel, text) => new Promise((resolve, reject) => {
    channel.onmessage = ({data}) => resolve(data);
    channel.onclose = () => reject(new Error("closed"));
    channel.send(text);
});
window.until = async (is) => {
    while (!is()) await new Promise((resolve) => set(resolve, 20));
};
window.reason = async (promise) => {
    try { await promise; } catch (error) {
        return [error instanceof SignpostError, error.code, error.message];
    }
    throw new Error("it did not fail");
};
"""


class PageCase(LabCase):
    nodes = ("browser",)
    flags = ()  # more of the browser

    def why_not(self):
        if not os.path.exists(BINARY):
            return "chromium is not installed"
        return super().why_not()

    def setUp(self):
        super().setUp()
        for name in self.nodes:  # a browser without a default route has no candidates
            self.lab.ip(name, "route", "add", "default", "via", self.lab.addresses["index"])
        self.browser = self.opens()

    def opens(self, *flags, where="browser"):
        return Chromium(self, *self.flags, *flags, wrapper=self.lab.within(where))

    def page(self, context=None, browser=None):
        page = (browser or self.browser).page(self.url + "/healthz", context)
        page.run(PRELUDE + "return null;")
        return page

    def joined(self, id, greets=False, context=None, **options):
        """A page that is at the index; with `greets` it is called, and answers."""
        page = self.page(context)
        options = "".join(f", {name}: {text}" for name, text in options.items())
        page.run(f"await join({id!r}, {{listed: {str(greets).lower()}{options}}});"
                 + ("here.onconnect = greet;" if greets else "") + "return null;")
        return page

    def assertNothingLeft(self, *pages):
        """No connection, no timer and no listener once a page has left."""
        for page in pages:
            for of in ("window", "document"):
                self.assertNotEqual(page.listeners(of), [])
            page.run("await here.leave(); await until(() => open_() === 0 && timers.size === 0);"
                     "return null;")
            for of in ("window", "document"):
                self.assertEqual(page.listeners(of), [])
            self.assertEqual(page.errors, [])
