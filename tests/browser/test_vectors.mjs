// The session machine of client/js against tests/session/vectors.json, which says what it is to do
// to every implementation. README.md beside that has the format.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Machine } from "../../client/js/signpost.js";

const vectors = JSON.parse(
    readFileSync(new URL("../session/vectors.json", import.meta.url), "utf8"));

/** In a vector a text stands for what is sent; candidates are lines. */
const toLines = (list) => list.map((item) => item + "\n").join("");
const fromLines = (text) => text.split("\n").slice(0, -1);

/** A message as the vectors write it. */
function shown({ type, session, gen, payload, end }) {
    const message = { type, session };
    if (["offer", "answer", "candidates"].includes(type)) message.gen = gen;
    const text = type === "candidates" ? toLines(payload) : payload;
    if (text) message.payload = text;
    if (type === "candidates") message.end = end;
    return message;
}

/** The message as the machine takes it. */
function read(message) {
    const { type, payload = "", end = false } = message;
    return { ...message, end, payload: type === "candidates" ? fromLines(payload) : payload };
}

/** What the machine does is put into `out`, which is another one for each step. */
function actionsOf(vector, log) {
    let ids = 0;
    const jitter = [...vector.jitter];
    const put = (...action) => log.out.push(action);
    return {
        state(state, reason, last) {
            put("state", state, ...(reason ? [reason] : []), ...(last ? ["for good"] : []));
        },
        send: (message) => put("send", shown(message)),
        prepare: () => put("prepare"),
        makeOffer: (gen) => put("make-offer", gen),
        makeAnswer: (gen, offer) => put("make-answer", gen, offer),
        takeAnswer: (gen, answer) => put("take-answer", gen, answer),
        takeCandidates: (list, end) => put("take-candidates", toLines(list), end),
        drop: () => put("drop"),
        random(most) {
            const value = jitter.shift();
            assert.ok(value >= 0 && value <= most, `a random number that is not given: ${value}`);
            return value;
        },
        newId: () => `s${++ids}`,
    };
}

function feed(machine, [what, ...rest], now) {
    const steps = {
        connect: () => machine.connect(now),
        accept: () => machine.accept(),
        refuse: (reason) => machine.refuse(reason, now),
        describe: (description) => machine.describe(description, now),
        candidate: (candidate) => machine.candidate(candidate, now),
        "candidates-end": () => machine.candidate(undefined, now),
        link: (link) => machine.link(link, now),
        "link-failed": () => {}, // of direct connections: says nothing to this machine
        close: () => machine.close(),
        receive: (message) => machine.receive(read(message), now),
        sent: (type, session) => machine.sent(type, session, now),
        lost: (type, session, reason, ms) =>
            machine.lost(type, session, "offline", reason, ms, now),
        tick: () => machine.tick(now),
    };
    assert.ok(what in steps, `no step is called ${what}`);
    steps[what](...rest);
}

const direct = vectors.filter((vector) => vector.kind === "direct");
const others = vectors.filter((vector) => vector.kind !== "direct");

for (const vector of others) {
    test(vector.name, () => {
        const log = { out: [] };
        const machine = new Machine(vector.own, vector.peer, actionsOf(vector, log));
        assert.equal(vector.kind, undefined);
        assert.ok(vector.steps.length > 0);
        vector.steps.forEach((step, at) => {
            log.out = [];
            feed(machine, step.in, step.at);
            assert.deepEqual(log.out, step.out, `step ${at + 1}: out`);
            const due = machine.due === Infinity ? null : machine.due;
            assert.equal(due, step.due, `step ${at + 1}: due`);
        });
    });
}

test(`all but the ${direct.length} about direct connections, which a browser has not`, () => {
    assert.ok(others.length >= 40);
    assert.equal(others.length + direct.length, vectors.length);
});
