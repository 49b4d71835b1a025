// What the tests of client/js share: an index of their own, a clock that they move, a count of what
// is under way, and waiting for what is to happen.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Signpost } from "../../client/js/signpost.js";
import { makeFakeRtc } from "./fake_rtc.mjs";

const PROGRAM = process.env.SIGNPOSTD ?? new URL("../../build/signpostd", import.meta.url).pathname;
const PATIENCE_MS = 30000;

/** A signpostd; `kill` and `start` again keep its port. */
export class TestIndex {
    port = 0;
    #directory = mkdtempSync(join(tmpdir(), "signpost-js-"));
    #process = null;

    async start({ empty = false } = {}) {
        const db = join(this.#directory, empty ? `${Math.random()}.db` : "signpost.db");
        const options = Object.entries(process.env).filter(([name]) => !/^SIGNPOST_/.test(name));
        this.#process = spawn(
            PROGRAM, ["--listen", `127.0.0.1:${this.port}`, "--db", db, "--rate", "0"],
            { stdio: ["ignore", "ignore", "pipe"], env: Object.fromEntries(options) });
        const lines = [];
        for await (const line of createInterface({ input: this.#process.stderr })) {
            lines.push(line);
            const port = line.match(/ listening .*port=(\d+)/)?.[1];
            if (port) this.port = Number(port);
            if (/ ready /.test(line)) break;
        }
        assert.match(lines.at(-1) ?? "", / ready /, `signpostd did not start: ${lines}`);
        this.#process.stderr.resume();
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    async kill() {
        const ended = once(this.#process, "exit");
        this.#process.kill("SIGKILL");
        await ended;
    }

    async end() {
        if (this.#process?.exitCode === null && !this.#process.killed) await this.kill();
        rmSync(this.#directory, { recursive: true, force: true });
    }
}

/** Real time, which can be moved on; counts the timers that are set. */
export class TestClock {
    timers = new Map();
    #skipped = 0;
    #next = 1;

    now = () => performance.now() + this.#skipped;

    setTimeout = (callback, ms) => {
        const number = this.#next++;
        const due = this.now() + ms;
        this.timers.set(number, { callback, due, handle: null });
        this.#arm(number);
        return number;
    };

    clearTimeout = (number) => {
        clearTimeout(this.timers.get(number)?.handle);
        this.timers.delete(number);
    };

    random = () => 0.5;

    #arm(number) {
        const timer = this.timers.get(number);
        clearTimeout(timer.handle);
        timer.handle = setTimeout(() => {
            this.timers.delete(number);
            timer.callback();
        }, Math.max(0, timer.due - this.now()));
    }

    /** As if so much time had passed. */
    skip(ms) {
        this.#skipped += ms;
        for (const number of this.timers.keys()) this.#arm(number);
    }
}

let worlds = 0;

/** A network of its own, with what its pages use: a clock, WebRTC, counted requests. */
export class World {
    clock = new TestClock();
    rtc = makeFakeRtc();
    requests = 0;
    network = `test-${++worlds}`;
    #pages = [];

    constructor(index, t) {
        this.index = index;
        t.after(async () => {
            await Promise.all(this.#pages.map((page) => page.leave()));
            this.assertNothingIsLeft();
        });
    }

    /** Like the real one; a test may put its own in its place. */
    fetch = async (...what) => fetch(...what);

    async join(id, options = {}) {
        const counted = async (...what) => {
            this.requests++;
            try {
                return await this.fetch(...what);
            } finally {
                this.requests--;
            }
        };
        const page = await Signpost.join(this.index.url, {
            id,
            network: this.network,
            clock: this.clock,
            RTCPeerConnection: this.rtc,
            fetch: counted,
            ...options,
        });
        page.log = [];
        page.addEventListener("state", ({ peer, state }) => page.log.push(`${peer} ${state}`));
        this.#pages.push(page);
        return page;
    }

    /** A node without a page behind it. Gives a function that posts as this node. */
    async node(id, members = {}) {
        const token = randomBytes(32).toString("base64url");
        const ask = async (method, path, body) => {
            const json = { "Content-Type": "application/json" };
            const headers = { Authorization: `Bearer ${token}`, ...json };
            const reply = await fetch(this.index.url + path, {
                method, headers, body: body && JSON.stringify(body) });
            const text = await reply.text();
            assert.ok(reply.ok, text);
            return text && JSON.parse(text);
        };
        await ask("POST", "/register", { id, network: this.network, ttl: 600, ...members, token });
        return ask;
    }

    /** Who is in the list of this network. */
    async listed() {
        const reply = await fetch(`${this.index.url}/list?network=${this.network}`);
        return (await reply.json()).nodes.map((node) => node.id);
    }

    /** Is it registered, listed or not? */
    async knows(id) {
        const reply = await fetch(`${this.index.url}/nodes/${id}?network=${this.network}`);
        await reply.text();
        return reply.status === 200;
    }

    /** Of all pages that have left: nothing is there any more. */
    assertNothingIsLeft() {
        assert.equal(this.clock.timers.size, 0, "timers");
        assert.equal(this.rtc.open, 0, "peer connections");
        assert.equal(this.requests, 0, "requests");
        assert.deepEqual(this.rtc.made.map((pc) => pc.ears).filter(Boolean), [], "listeners");
    }
}

/** Settles as `promise` does, or fails after a generous while. */
export async function soon(promise, what = "it") {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what} did not happen`)), PATIENCE_MS);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

/** The next event of this type that passes. */
export function event(target, type, passes = () => true) {
    return soon(new Promise((resolve) => {
        const look = (came) => {
            if (!passes(came)) return;
            target.removeEventListener(type, look);
            resolve(came);
        };
        target.addEventListener(type, look);
    }), type);
}

/** When the session with the peer is in this state. */
export const inState = (page, peer, state) =>
    event(page, "state", (came) => came.peer === peer && came.state === state);

/** It comes to nothing, with this code. */
export async function fails(promise, code) {
    const error = await soon(promise).then(() => assert.fail("it went well"), (error) => error);
    assert.equal(error.name, "SignpostError", error.stack);
    assert.equal(error.code, code, error.message);
    return error;
}

export async function sayHello(from, to) {
    const came = event(to, "message");
    from.send("hello");
    assert.equal((await came).data, "hello");
}
