// client/js against a real index, in Node: everything but WebRTC itself, which is a fake here.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import test, { after, before } from "node:test";
import { Signpost, SignpostError } from "../../client/js/signpost.js";
import { TestIndex, World, event, fails, inState, sayHello, soon } from "./help.mjs";

const index = new TestIndex();

before(() => index.start());
after(() => index.end());

const never = () => new Promise(() => {});

/** Two pages; b takes calls. */
async function two(t, { a = {}, b = {} } = {}) {
    const world = new World(index, t);
    const caller = await world.join("a", a);
    const called = await world.join("b", { accept: () => true, ...b });
    return { world, a: caller, b: called };
}

/** Two that are connected: what each of them has of it. */
async function connected(t, options) {
    const { world, a, b } = await two(t, options);
    const came = event(b, "connect");
    const ofA = await soon(a.connect("b"));
    return { world, a, b, ofA, ofB: await came };
}

/** What a window is to a page. */
function surround(t) {
    const surroundings = new EventTarget();
    globalThis.addEventListener = surroundings.addEventListener.bind(surroundings);
    t.after(() => delete globalThis.addEventListener);
    return surroundings;
}

const isPoll = (url) => String(url).endsWith("/events");
const isPost = (url) => String(url).includes("/mailbox/");

/** The page's fetch, changed by `change(url, init, fetch)`. */
function changing(world, change) {
    world.fetch = (url, init) => change(url, init, fetch);
}

const reply = (status, body, headers = {}) =>
    new Response(body && JSON.stringify(body), { status, headers });

// --- coming and going -------------------------------------------------------------------------

test("a page that joins is registered, and in no list", async (t) => {
    const world = new World(index, t);
    const a = await world.join("a");
    assert.equal(a.id, "a");
    assert.equal(a.index, "ready");
    assert.ok(await world.knows("a"));
    assert.deepEqual(await world.listed(), []);
});

test("a page that wants to be listed is", async (t) => {
    const world = new World(index, t);
    await world.join("a", { listed: true, meta: { name: "Ann" } });
    const b = await world.join("b");
    assert.deepEqual([...b.nodes.keys()], ["a"]);
    assert.equal(b.nodes.get("a").meta.name, "Ann");
});

test("the index makes an id where none is given", async (t) => {
    const a = await new World(index, t).join(undefined);
    assert.match(a.id, /^[\w.-]{1,64}$/);
});

test("an id that is taken is an error", async (t) => {
    const world = new World(index, t);
    const a = await world.join("a");
    await fails(world.join("a"), "taken");
    await a.leave();
    world.assertNothingIsLeft();
});

test("what the index refuses is an error", async (t) => {
    await fails(new World(index, t).join("no id at all"), "refused");
});

test("an index that is not there is an error in the end", async (t) => {
    const world = new World(index, t);
    changing(world, () => {
        world.clock.skip(6000);
        throw new TypeError("fetch failed");
    });
    await fails(world.join("a"), "unreachable");
    world.assertNothingIsLeft();
});

test("something that is no index is an error in the end", async (t) => {
    const world = new World(index, t);
    changing(world, () => {
        world.clock.skip(6000);
        return reply(200, "<html>");
    });
    await fails(world.join("a"), "protocol");
});

test("joining can be called off", async (t) => {
    const world = new World(index, t);
    await fails(world.join("a", { signal: AbortSignal.abort() }), "aborted");
    const abort = new AbortController();
    changing(world, (url, init) => {
        queueMicrotask(() => {
            abort.abort();
            world.clock.skip(2000); // so long what is under way may take when a page leaves
        });
        return new Promise((_, reject) => {
            init.signal.addEventListener("abort", () => reject(init.signal.reason));
        });
    });
    await fails(world.join("a", { signal: abort.signal }), "aborted");
});

test("a page that leaves is deleted, and nothing of it is left", async (t) => {
    const { world, a, b } = await connected(t);
    await soon(a.leave());
    await soon(b.leave());
    assert.equal(await world.knows("a"), false);
    assert.equal(a.index, "left");
    world.assertNothingIsLeft();
    await fails(a.connect("b"), "closed");
});

test("the signal of join makes the page leave", async (t) => {
    const world = new World(index, t);
    const abort = new AbortController();
    const a = await world.join("a", { signal: abort.signal });
    const left = event(a, "index", () => a.index === "left");
    abort.abort();
    await left;
    assert.equal(await world.knows("a"), false);
    world.assertNothingIsLeft();
});

test("a page that goes away leaves with requests that outlive it", async (t) => {
    const surroundings = surround(t);
    const { world, a } = await connected(t);
    const kept = [];
    changing(world, (url, init) => {
        if (init.keepalive) kept.push(`${init.method} ${new URL(url).pathname}`);
        return fetch(url, init);
    });
    const left = event(a, "index", () => a.index === "left");
    surroundings.dispatchEvent(new Event("pagehide"));
    assert.ok(kept.includes("POST /mailbox/b"), kept);
    assert.ok(kept.includes("DELETE /nodes/a"), kept);
    await left;
});

// --- who is there -----------------------------------------------------------------------------

test("nodes come, change and go", async (t) => {
    const world = new World(index, t);
    const a = await world.join("a");
    const up = event(a, "nodeup");
    const b = await world.node("b", { meta: { load: 1 } });
    assert.equal((await up).peer, "b");
    const changed = event(a, "nodechange");
    await b("POST", "/heartbeat", { meta: { load: 2 } });
    assert.equal((await changed).node.meta.load, 2);
    const down = event(a, "nodedown");
    await b("DELETE", "/nodes/b");
    assert.equal((await down).peer, "b");
    assert.equal(a.nodes.size, 0);
});

test("who is missing in a new whole list is kept for a lease", async (t) => {
    const world = new World(index, t);
    await world.node("b");
    let polls = 0;
    const forgotten = new Promise((resolve) => {
        changing(world, async (url, init) => {
            const answer = await fetch(url, init);
            if (!isPoll(url) || ++polls !== 2) return answer;
            const body = await answer.json();
            resolve();
            return reply(200, { ...body, list: { ...body.list, reset: true, nodes: [] } });
        });
    });
    const a = await world.join("a");
    const downs = [];
    a.onnodedown = ({ peer }) => downs.push(peer);
    await world.node("c");
    await soon(forgotten);
    const up = event(a, "nodeup");
    await world.node("d");
    assert.equal((await up).peer, "d");
    assert.ok(a.nodes.has("b"));
    assert.deepEqual(downs, []);
    const down = event(a, "nodedown");
    world.clock.skip(120 * 1000);
    assert.equal((await down).peer, "b");
});

test("handlers are properties too", async (t) => {
    const world = new World(index, t);
    const a = await world.join("a");
    const up = soon(new Promise((resolve) => { a.onnodeup = resolve; }));
    await world.node("b");
    assert.equal((await up).peer, "b");
});

test("a long list comes in pages", async (t) => {
    const world = new World(index, t);
    const ids = ["b", "c", "d", "e", "f"];
    for (const id of ids) await world.node(id);
    let pages = 0;
    changing(world, (url, init) => {
        pages += url.includes("/list?");
        return fetch(url.replace("limit=500", "limit=2"),
            { ...init, body: init.body?.replace('"limit":500', '"limit":2') });
    });
    const a = await world.join("a");
    assert.deepEqual([...a.nodes.keys()], ids);
    assert.equal(pages, 2);
    const up = event(a, "nodeup");
    await world.node("g");
    assert.equal((await up).peer, "g");
});

// --- connecting -------------------------------------------------------------------------------

test("two pages are connected", async (t) => {
    const { world, a, b, ofA, ofB } = await connected(t);
    assert.equal(ofA.peer, "b");
    assert.equal(ofB.peer, "a");
    assert.ok(ofA.connection instanceof world.rtc);
    await sayHello(ofA.channel, ofB.channel);
    await sayHello(ofB.channel, ofA.channel);
    assert.deepEqual(a.log, ["requesting", "waiting-ready", "creating-offer", "waiting-answer",
        "connecting", "connected"].map((state) => `b ${state}`));
    assert.deepEqual(b.log, ["preparing", "ready", "offer-received", "answer-sent", "connecting",
        "connected"].map((state) => `a ${state}`));
});

test("a connection that is there is given again", async (t) => {
    const { a, b, ofA, ofB } = await connected(t);
    assert.equal(await soon(a.connect("b")), ofA);
    assert.equal((await soon(b.connect("a"))).channel, ofB.channel);
});

test("the label and the page's own setup reach the connection", async (t) => {
    const seen = [];
    const note = (who) => async (pc, call) => {
        await null;
        seen.push([who, pc.constructor.name, call]);
    };
    const { a, b } = await two(t, { b: { setup: note("b") } });
    const came = event(b, "connect");
    await soon(a.connect("b", { label: "chat", setup: note("a") }));
    assert.equal((await came).channel.label, "chat");
    assert.deepEqual(seen, [["a", "FakePeerConnection", { peer: "b", caller: true }],
        ["b", "FakePeerConnection", { peer: "a", caller: false }]]);
});

test("a setup that fails is the page's own error", async (t) => {
    const { world, a, b } = await two(t);
    const over = inState(b, "a", "idle");
    const setup = () => { throw new Error("no camera"); };
    const error = await fails(a.connect("b", { setup }), "setup");
    assert.match(error.message, /no camera/);
    await over;
    assert.equal(world.rtc.open, 0);
});

test("both call at once, and get the same connection", async (t) => {
    const { world, a, b } = await two(t);
    b.addEventListener("connect", () => assert.fail("a call of its own is no event"));
    const [ofA, ofB] = await soon(Promise.all([a.connect("b"), b.connect("a")]));
    await sayHello(ofA.channel, ofB.channel);
    assert.equal(world.rtc.open, 2);
});

test("a call of one's own lets the peer in that calls first", async (t) => {
    const { a, b } = await two(t, { b: { accept: null } });
    const [ofA, ofB] = await soon(Promise.all([a.connect("b"), b.connect("a")]));
    await sayHello(ofA.channel, ofB.channel);
});

test("a peer that nobody knows is offline", async (t) => {
    const { a } = await two(t);
    const error = await fails(a.connect("nobody", { retries: 0 }), "offline");
    assert.ok(error instanceof SignpostError);
    assert.equal(error.message, "nobody is offline");
    assert.deepEqual(a.log, ["nobody requesting", "nobody failed"]);
});

test("a peer that is offline is tried four times", async (t) => {
    const { world, a } = await two(t);
    a.addEventListener("state", ({ state }) => state === "retrying" && world.clock.skip(5000));
    await fails(a.connect("nobody"), "offline");
    assert.equal(a.log.filter((line) => line === "nobody requesting").length, 4);
});

test("a page without a handler refuses", async (t) => {
    const { a } = await two(t, { b: { accept: null } });
    assert.equal((await fails(a.connect("b"), "refused")).message, "b refused");
    assert.equal(a.log.filter((line) => line === "b requesting").length, 1);
});

test("a page refuses whom it does not want, and says when it is busy", async (t) => {
    const asked = [];
    const accept = async (peer) => {
        asked.push(peer);
        return asked.length > 1 ? "busy" : false;
    };
    const { a } = await two(t, { b: { accept } });
    await fails(a.connect("b"), "refused");
    await fails(a.connect("b", { retries: 0 }), "busy");
    assert.deepEqual(asked, ["a", "a"]);
});

test("another kind is refused, one's own is not", async (t) => {
    const { a, world } = await two(t);
    await world.join("c", { kind: "game", accept: () => true });
    const d = await world.join("d", { kind: "game" });
    await fails(a.connect("c"), "refused");
    assert.equal((await soon(d.connect("c"))).peer, "c");
});

test("the thirty-third call that is being set up is told that we are busy", async (t) => {
    const { world, a, b } = await two(t, { b: { accept: never } });
    let calls = 0;
    const all = event(b, "state", ({ state }) => state === "preparing" && ++calls === 32);
    for (let i = 0; i < 32; i++) {
        const post = await world.node(`n${i}`);
        await post("POST", "/mailbox/b",
            { id: "k", session: `s${i}`, type: "knock", body: { kind: "webrtc" } });
    }
    await all;
    await fails(a.connect("b", { retries: 0 }), "busy");
});

test("of many knocks of one peer eight are taken", async (t) => {
    const { world, b } = await two(t, { b: { accept: never } });
    const post = await world.node("c");
    const end = event(b, "message");
    world.clock.now = () => 1000; // so that none leaks away
    for (let i = 0; i < 12; i++)
        await post("POST", "/mailbox/b",
            { id: `k${i}`, session: `s${i}`, type: "knock", body: { kind: "webrtc" } });
    await post("POST", "/mailbox/b", { id: "end", type: "end", body: null });
    await end;
    assert.equal(b.log.filter((line) => line === "c preparing").length, 8);
});

for (const state of ["requesting", "waiting-ready", "creating-offer", "waiting-answer",
    "connecting"]) {
    test(`a call can be called off: ${state}`, async (t) => {
        const { world, a, b } = await two(t);
        const abort = new AbortController();
        let began = false;
        b.addEventListener("state", () => { began = true; });
        world.rtc.blocked = true;
        a.addEventListener("state", (came) => came.state === state && abort.abort());
        const error = await fails(a.connect("b", { signal: abort.signal }), "aborted");
        assert.equal(error.name, "SignpostError");
        assert.equal(a.log.at(-1), "b idle");
        if (began && b.log.at(-1) !== "a idle") await inState(b, "a", "idle");
        assert.equal(world.rtc.open, 0);
    });
}

test("a call that is called off before it began", async (t) => {
    const { a } = await two(t);
    await fails(a.connect("b", { signal: AbortSignal.abort() }), "aborted");
    assert.deepEqual(a.log, []);
});

test("no node can be called that cannot be one", async (t) => {
    const { a } = await two(t);
    await fails(a.connect("a"), "invalid");
    await fails(a.connect("../list"), "invalid");
    await fails(a.connect(undefined), "invalid");
    await fails(Signpost.join("http://"), "invalid");
});

test("a peer that never answers", async (t) => {
    const { world, a } = await two(t);
    await world.node("mute");
    a.addEventListener("state", ({ state }) => {
        if (state === "waiting-ready" || state === "retrying") world.clock.skip(5000);
    });
    const error = await fails(a.connect("mute"), "timeout");
    assert.equal(error.message, "mute did not get ready within 5 s");
    assert.equal(a.log.filter((line) => line === "mute requesting").length, 4);
});

test("a peer that leaves with the knock unread", async (t) => {
    const { world, a } = await two(t);
    const ask = await world.node("mute");
    const waits = inState(a, "mute", "waiting-ready");
    const failed = fails(a.connect("mute", { retries: 0 }), "offline");
    await waits;
    await ask("DELETE", "/nodes/mute");
    await failed;
});

test("what makes no sense is passed over", async (t) => {
    const { world, a, b } = await two(t);
    const post = await world.node("c");
    const end = event(b, "message");
    const bodies = [null, 1, "text", [], {}, { kind: 7 }, { gen: -1, candidates: [{}] },
        { gen: 0, candidates: [null] }, { type: "offer", sdp: 5 }, { reason: { a: 1 } }];
    let number = 0;
    for (const type of ["knock", "ready", "offer", "answer", "candidates", "bye"])
        for (const body of bodies) {
            if (++number % 10 === 0) await soon(b.send("c", "note", null));
            await post("POST", "/mailbox/b", { id: `m${number}`, session: "s", type, body });
        }
    await post("POST", "/mailbox/b", { id: "end", type: "end", body: null });
    await end;
    assert.deepEqual(b.log, []);
    assert.equal((await soon(a.connect("b"))).peer, "b");
});

test("a description that is none fails the attempt, and nothing is left of it", async (t) => {
    const { world, b } = await two(t);
    const post = await world.node("c");
    const send = (type, body) =>
        post("POST", "/mailbox/b", { id: type, session: "s", type, body });
    const ready = inState(b, "c", "ready");
    await send("knock", { kind: "webrtc" });
    await ready;
    const over = inState(b, "c", "idle");
    await send("offer", { type: "offer", sdp: "nonsense", gen: 0 });
    await over;
    assert.equal(world.rtc.open, 0);
});

test("an offer that another one follows is not answered any more", async (t) => {
    let go;
    const gate = new Promise((resolve) => { go = resolve; });
    const { b, world } = await two(t, { b: { setup: () => gate } });
    const ask = await world.node("c");
    const send = (type, body, id) =>
        ask("POST", "/mailbox/b", { id, session: "s", type, body });
    const offer = (gen) => send("offer", { type: "offer", sdp: "0", gen }, `offer${gen}`);
    const ready = inState(b, "c", "ready");
    await send("knock", { kind: "webrtc" }, "knock");
    await ready;
    for (const gen of [0, 1]) {
        const came = inState(b, "c", "offer-received");
        await offer(gen);
        await came;
    }
    const answered = inState(b, "c", "connecting");
    go();
    await answered;
    const { messages } = await ask("GET", "/mailbox/c");
    const answers = messages.filter(({ type }) => type === "answer").map(({ body }) => body);
    assert.deepEqual(answers, [{ type: "answer", sdp: "0 2", gen: 1 }]);
});

test("every message comes twice, and is sent twice", async (t) => {
    const world = new World(index, t);
    changing(world, async (url, init) => {
        const first = await fetch(url, init);
        if (isPost(url)) {
            await first.text();
            return fetch(url, init);
        }
        if (!isPoll(url) || first.status !== 200) return first;
        const body = await first.json();
        body.mail.messages = body.mail.messages.flatMap((message) => [message, message]);
        return reply(200, body);
    });
    const a = await world.join("a");
    let connects = 0;
    const b = await world.join("b", { accept: () => true });
    b.onconnect = () => connects++;
    const { channel } = await soon(a.connect("b"));
    assert.equal(channel.readyState, "open");
    assert.equal(connects, 1);
    assert.deepEqual(b.log, ["preparing", "ready", "offer-received", "answer-sent", "connecting",
        "connected"].map((state) => `a ${state}`));
    assert.equal(world.rtc.made.length, 2);
    const notes = [];
    b.onmessage = ({ message }) => notes.push(message.body);
    const end = event(b, "message", ({ message }) => message.body === "end");
    for (const body of ["begin", "end"]) await soon(a.send("b", "note", body));
    await end;
    assert.deepEqual(notes, ["begin", "end"]);
});

test("a message whose reply is lost is sent again, and comes once", async (t) => {
    const { world, a, b } = await two(t);
    const notes = [];
    b.onmessage = ({ message }) => notes.push(message.body);
    let posts = 0;
    changing(world, async (url, init) => {
        const answer = await fetch(url, init);
        if (isPost(url) && ++posts === 1) throw new TypeError("fetch failed");
        return answer;
    });
    const end = event(b, "message", ({ message }) => message.body === "end");
    for (const body of ["begin", "end"]) await soon(a.send("b", "note", body));
    await end;
    assert.equal(posts, 3);
    assert.deepEqual(notes, ["begin", "end"]);
});

test("of one session one message is under way at a time", async (t) => {
    const { world, a } = await two(t);
    const underWay = new Set();
    const sent = [];
    const overtaken = [];
    changing(world, async (url, init) => {
        if (!isPost(url)) return fetch(url, init);
        const { type } = JSON.parse(init.body);
        const who = init.headers.Authorization;
        if (underWay.has(who)) overtaken.push(type);
        underWay.add(who);
        sent.push(type);
        world.clock.skip(200); // candidates would go now
        const due = () => [...world.clock.timers.values()]
            .some((timer) => timer.due <= world.clock.now());
        do await new Promise((resolve) => setImmediate(resolve)); while (due());
        const answer = await fetch(url, init);
        underWay.delete(who);
        return answer;
    });
    await soon(a.connect("b"));
    assert.ok(sent.indexOf("candidates") > sent.indexOf("offer"), sent);
    assert.deepEqual(overtaken, []);
});

test("a message of the application's own", async (t) => {
    const { a, b } = await two(t);
    const came = event(b, "message");
    await soon(a.send("b", "greeting", { text: "hello" }));
    const { peer, message } = await came;
    assert.equal(peer, "a");
    assert.deepEqual([message.type, message.body], ["greeting", { text: "hello" }]);
    await fails(a.send("nobody", "greeting", null), "offline");
});

// --- the help of the index --------------------------------------------------------------------

test("an index without servers gives none", async (t) => {
    const { world } = await connected(t, { a: { rtc: { iceCandidatePoolSize: 1 } } });
    assert.deepEqual(world.rtc.made[0].config, { iceServers: [], iceCandidatePoolSize: 1 });
});

test("an index without /ice is no error", async (t) => {
    const { world, a } = await two(t, { a: { rtc: { iceCandidatePoolSize: 1 } } });
    changing(world, (url, init) => {
        return url.endsWith("/ice") ? reply(404, { code: "unknown_path" }) : fetch(url, init);
    });
    await soon(a.connect("b"));
    assert.deepEqual(world.rtc.made[0].config, { iceCandidatePoolSize: 1 });
});

test("the servers of /ice are used for half of their time", async (t) => {
    const { world, a, b } = await two(t, { a: { rtc: { iceTransportPolicy: "relay" } } });
    const iceServers = [{ urls: "stun:stun.example" }];
    let asked = 0;
    changing(world, (url, init) => {
        if (!url.endsWith("/ice")) return fetch(url, init);
        asked += init.headers.Authorization === `Bearer ${a.token}`;
        return reply(200, { iceServers, ttl: 3600 });
    });
    const { connection, close } = await soon(a.connect("b"));
    assert.deepEqual(connection.config, { iceServers, iceTransportPolicy: "relay" });
    assert.equal(asked, 1);
    close();
    await soon(a.connect("b"));
    assert.equal(asked, 1);
    const over = inState(b, "a", "idle");
    await soon((await a.connect("b")).close());
    await over;
    world.clock.skip(1800 * 1000);
    await soon(a.connect("b"));
    assert.equal(asked, 2);
});

test("servers of the page's own take their place", async (t) => {
    const { world, a } = await two(t);
    changing(world, (url, init) => {
        assert.ok(!url.endsWith("/ice") || !init.headers.Authorization.endsWith(a.token));
        return fetch(url, init);
    });
    const iceServers = [{ urls: "stun:mine.example" }];
    const { connection } = await soon(a.connect("b", { rtc: { iceServers } }));
    assert.deepEqual(connection.config, { iceServers });
});

// --- connections that end ---------------------------------------------------------------------

for (const [name, end] of [
    ["close", ({ ofA }) => ofA.close()],
    ["the end of its channel", ({ ofA }) => ofA.channel.close()],
    ["leaving", ({ a }) => a.leave()],
]) {
    test(`a connection ends at both ends with ${name}`, async (t) => {
        const all = await connected(t);
        const over = inState(all.b, "a", "idle");
        const now = all.world.clock.now();
        all.world.clock.now = () => now; // no deadline does it
        await end(all);
        await soon(all.ofA.closed);
        await soon(all.ofB.closed);
        await over;
        assert.equal(all.world.rtc.open, 0);
    });
}

test("the caller mends a connection that failed, in the same session", async (t) => {
    const { world, a, b, ofA, ofB } = await connected(t);
    for (const page of [a, b])
        page.addEventListener("connect", () => assert.fail("it is the same connection"));
    const again = Promise.all([inState(a, "b", "connected"), inState(b, "a", "connected")]);
    for (const pc of world.rtc.made) pc.become("failed");
    await again;
    assert.deepEqual(a.log.slice(6),
        ["creating-offer", "waiting-answer", "connecting", "connected"].map((s) => `b ${s}`));
    assert.equal(world.rtc.made.length, 2);
    await sayHello(ofA.channel, ofB.channel);
});

test("what cannot be mended is made anew", async (t) => {
    const { world, a, b, ofA } = await connected(t);
    const both = Promise.all([event(a, "connect"), event(b, "connect")]);
    world.rtc.blocked = true;
    a.addEventListener("state", ({ state, last }) => {
        if (state === "connecting" && world.rtc.blocked) world.clock.skip(15000);
        if (state === "failed") {
            assert.equal(last, false);
            world.rtc.blocked = false;
        }
        if (state === "retrying") world.clock.skip(5000);
    });
    for (const pc of world.rtc.made) pc.become("failed");
    const [again, other] = await both;
    await soon(ofA.closed);
    assert.equal(ofA.channel.readyState, "closed");
    await sayHello(again.channel, other.channel);
    assert.equal(world.rtc.open, 2);
});

test("nothing is made anew for a page that has no handler", async (t) => {
    const { world, a, b, ofA } = await connected(t);
    const over = Promise.all([inState(a, "b", "idle"), inState(b, "a", "idle")]);
    world.rtc.blocked = true;
    a.addEventListener("state", ({ state }) => {
        if (state === "connecting") world.clock.skip(15000);
        if (state === "retrying") world.clock.skip(5000);
    });
    for (const pc of world.rtc.made) pc.become("failed");
    await soon(ofA.closed);
    await over;
    assert.equal(world.rtc.open, 0);
});

test("a page that comes again as the same node replaces the other", async (t) => {
    const { world, a, ofA, ofB } = await connected(t);
    await world.node("mute");
    const waits = inState(a, "mute", "waiting-ready");
    const calls = fails(a.connect("mute"), "replaced");
    await waits;
    const now = world.clock.now();
    world.clock.now = () => now; // no deadline ends that call
    const gone = event(a, "index");
    await world.join("a", { token: a.token });
    assert.equal((await gone).state, "replaced");
    assert.equal((await gone).error.code, "replaced");
    await calls;
    await fails(a.connect("b"), "replaced");
    await sayHello(ofA.channel, ofB.channel);
    await soon(a.leave());
    assert.ok(await world.knows("a"));
});

// --- an index that goes and comes -------------------------------------------------------------

for (const empty of [false, true]) {
    test(`an index comes again, ${empty ? "empty" : "with its database"}`, async (t) => {
        const own = new TestIndex();
        await own.start();
        t.after(() => own.end());
        const world = new World(own, t);
        const a = await world.join("a", { listed: true });
        const b = await world.join("b", { listed: true, accept: () => true });
        for (const page of [a, b])
            page.addEventListener("nodedown", () => assert.fail("nobody has gone"));
        if (!a.nodes.has("b")) await event(a, "nodeup");
        const came = event(b, "connect");
        const ofA = await soon(a.connect("b"));
        const ofB = await came;
        const away = Promise.all([a, b].map((page) => event(page, "index")));
        await own.kill();
        for (const { state, error } of await away) {
            assert.equal(state, "away");
            assert.equal(error.code, "unreachable");
        }
        await sayHello(ofA.channel, ofB.channel);
        const ready = [a, b].map((page) => event(page, "index", () => page.index === "ready"));
        await own.start({ empty });
        await Promise.all(ready);
        assert.deepEqual([...a.nodes.keys()], ["b"]);
        await sayHello(ofB.channel, ofA.channel);
        const over = inState(b, "a", "idle");
        ofA.close();
        await over;
        assert.equal((await soon(a.connect("b"))).peer, "b");
        await Promise.all([a.leave(), b.leave()]);
        world.assertNothingIsLeft();
    });
}

test("an index is started anew in the middle of a call", async (t) => {
    const own = new TestIndex();
    await own.start();
    t.after(() => own.end());
    const world = new World(own, t);
    let accept;
    const asked = new Promise((resolve) => {
        accept = () => {
            resolve();
            return restarted;
        };
    });
    let go;
    const restarted = new Promise((resolve) => { go = resolve; });
    const a = await world.join("a");
    await world.join("b", { accept });
    const call = a.connect("b");
    await soon(asked);
    await own.kill();
    await own.start();
    go(true);
    assert.equal((await soon(call)).channel.readyState, "open");
});

test("a poll that is cut on the way is followed by one that does not wait", async (t) => {
    const world = new World(index, t);
    const waits = [];
    let cut;
    const probed = new Promise((resolve) => {
        cut = (url, init) => {
            if (!isPoll(url)) return fetch(url, init);
            const { wait } = JSON.parse(init.body);
            waits.push(wait);
            if (waits.length === 4) resolve();
            if (!wait || waits.length > 3) return fetch(url, init);
            world.clock.skip(600);
            throw new TypeError("fetch failed");
        };
    });
    changing(world, cut);
    const a = await world.join("a");
    a.addEventListener("index", () => a.index === "left" || assert.fail("it was not away"));
    await soon(probed);
    assert.deepEqual(waits, [0, 22, 0, 22]);
});

for (const [chance, expected] of [[0, 25], [0.5, 22], [0.999, 20]]) {
    test(`a poll waits up to a fifth less: by a chance of ${chance} ${expected} s`, async (t) => {
        const world = new World(index, t);
        world.clock.random = () => chance;
        const waits = new Promise((resolve) => {
            changing(world, (url, init) => {
                const { wait } = isPoll(url) ? JSON.parse(init.body) : {};
                if (wait) resolve(wait);
                return fetch(url, init);
            });
        });
        await world.join("a");
        assert.equal(await soon(waits), expected);
    });
}

test("a lease lost in an outage is taken anew from the first window", async (t) => {
    const world = new World(index, t);
    const rests = [];
    const { setTimeout } = world.clock;
    world.clock.setTimeout = (callback, ms) => { // what is shorter is no limit of a request
        if (ms < 10000) rests.push(ms);
        return setTimeout(callback, ms < 10000 ? 0 : ms);
    };
    let polls = 0;
    const forgotten = () => reply(404, { code: "unknown_node", action: "register", detail: "" });
    const over = new Promise((resolve) => {
        changing(world, (url, init) => {
            if (!isPoll(url) || ++polls === 1) return fetch(url, init);
            if (polls <= 7) throw new TypeError("fetch failed");
            if (polls <= 10) return forgotten();
            if (polls === 11) return fetch(url, init);
            if (polls === 12) return forgotten();
            resolve();
            return fetch(url, init);
        });
    });
    await world.join("a");
    await soon(over);
    // Six polls that fail; a lease that is lost three times in a row; and one after an answer.
    assert.deepEqual(rests, [250, 500, 1000, 2000, 4000, 5000, 250, 500, 1000, 250]);
});

test("the index is not asked before it said", async (t) => {
    const surroundings = surround(t);
    const world = new World(index, t);
    let polls = 0;
    let busy;
    const told = new Promise((resolve) => {
        busy = (url, init) => {
            if (!isPoll(url) || ++polls !== 2) return fetch(url, init);
            queueMicrotask(resolve);
            return reply(503, { code: "index_full", detail: "full" }, { "Retry-After": "300" });
        };
    });
    changing(world, busy);
    const a = await world.join("a");
    await soon(told);
    const rests = () => [...world.clock.timers.values()]
        .some((timer) => timer.due > world.clock.now() + 290000);
    while (!rests()) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(a.index, "ready");
    const up = event(a, "nodeup");
    surroundings.dispatchEvent(new Event("online"));
    await world.node("b");
    assert.equal(polls, 2);
    world.clock.skip(400 * 1000);
    await up;
});

test("a post that finds the lease lost has it mended", async (t) => {
    const { world, a } = await two(t);
    let posts = 0;
    let registers = 0;
    changing(world, (url, init) => {
        registers += url.endsWith("/register");
        if (!isPost(url) || ++posts > 1) return fetch(url, init);
        return reply(404, { code: "unknown_node", action: "register", detail: "" });
    });
    await soon(a.send("b", "note", null));
    assert.equal(registers, 1);
    assert.equal(posts, 2);
});

test("a post that gets no connection takes that of the poll", async (t) => {
    const world = new World(index, t);
    let posts = 0;
    let free;
    const interrupted = new Promise((resolve) => { free = resolve; });
    const waits = new Promise((resolve) => {
        changing(world, async (url, init) => {
            if (isPoll(url) && JSON.parse(init.body).wait) {
                init.signal.addEventListener("abort", free);
                resolve();
            }
            if (isPost(url) && !posts++) {
                world.clock.skip(2000);
                await interrupted;
            }
            return fetch(url, init);
        });
    });
    const a = await world.join("a");
    await soon(waits);
    await world.node("b");
    await soon(a.send("b", "note", null));
    assert.equal(a.index, "ready");
});

// --- nothing is left --------------------------------------------------------------------------

test("a program that leaves ends by itself", async () => {
    const module = new URL("../../client/js/signpost.js", import.meta.url);
    const script = `
        import { Signpost } from "${module}";
        const here = await Signpost.join("${index.url}", { RTCPeerConnection: class {} });
        await here.connect("nobody", { retries: 0 }).catch((error) => console.log(error.code));
        await here.leave();`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script],
        { stdio: ["ignore", "pipe", "inherit"] });
    const said = [];
    child.stdout.on("data", (data) => said.push(data));
    const [code] = await soon(once(child, "exit"), "the end of the program");
    assert.equal(code, 0);
    assert.equal(Buffer.concat(said).toString(), "offline\n");
});
