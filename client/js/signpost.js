/**
 * Signpost in a browser: a page finds the nodes of an index and opens WebRTC connections to them.
 *
 *     const here = await Signpost.join("https://index.example", { id: "page-1" });
 *     const { channel } = await here.connect("agent-7");
 *
 * docs/browser.md has the whole interface, docs/sessions.md what goes over the wire. From the top:
 * errors; the session machine (no network, no clock); the index (HTTP); the directory of nodes; the
 * peer connection; a session (the three joined); all sessions; `Signpost`, which a page sees.
 *
 * @module signpost
 */

/** What went wrong: `code` is a stable word, `message` a sentence for people. */
export class SignpostError extends Error {
    /**
     * @param {string} code see docs/browser.md
     * @param {string} message
     * @param {unknown} [cause]
     */
    constructor(code, message, cause) {
        super(message, cause === undefined ? undefined : { cause });
        this.name = "SignpostError";
        this.code = code;
    }
}

/** Milliseconds, but for the last two; docs/sessions.md says where they come from. */
export const LIMITS = Object.freeze({
    ready: 5000, // from the knock to the ready; as long as a knock lives
    answer: 10000, // from the offer to the answer
    ice: 15000, // from the answer to a connection
    attempt: 30000, // one attempt in all
    retry: 3000, // between two attempts: half of it to half more
    grace: 5000, // of a connection that dropped
    restart: 10000, // so long the called end waits for the caller's restart
    cleanup: 120000, // a session that nobody finishes
    batch: 100, // local candidates are gathered so long
    retries: 3,
    candidates: 49152, // characters of them that are kept: with its frame it is a message
});

const STAGE = 0;
const ATTEMPT = 1;
const BATCH = 2;
const CLEANUP = 3;
const OUTSIDE = ["idle", "connected", "failed", "retrying", "cleanup"]; // of an attempt
const ENDED = 8; // as many attempts as a peer can make while a knock lives

/**
 * What an end does about one peer, as caller, as the called end, or both at once: the states, the
 * limits and the reasons of docs/sessions.md, without a network, a clock or WebRTC. What comes goes
 * in by the methods, each with the time; what is to be done comes out by the actions, from inside
 * those methods. An action may call methods: then `#enter` and its like return false, and what was
 * to follow is out of date. It does to tests/session/vectors.json what client/session/ does in C.
 */
export class Machine {
    /** How many attempts may follow one that failed; for the next `connect`. */
    retries = LIMITS.retries;
    #own;
    #peer;
    #actions;
    #state = "idle";
    #serial = 0; // counts the changes of state
    #caller = false;
    #wanted = false; // the application's connect is not done
    #tries = 0; // retries that were made
    #id = ""; // of the attempt; "": none
    #ended = []; // the last that the peer began: knocks may come again
    #due = [Infinity, Infinity, Infinity, Infinity];
    #knocks = 0; // a knock that comes before may be older than the session that we called

    // Of the attempt.
    #live = false; // the application has a connection, to be dropped
    #restarted = false; // ICE was, since it was connected last
    #waiting = false; // connected, but dropped: the caller's restart is waited for
    #linked = false; // the connection is there, as far as the application said
    #described = false; // our description of this generation is sent
    #hasRemote = false; // theirs was handed over
    #gen = 0;
    #local = { list: [], end: false }; // candidates: ours to be sent,
    #early = { list: [], end: false, gen: 0 }; // theirs before their description

    /**
     * @param {string} own our node id
     * @param {string} peer its node id
     * @param {object} actions state(name, reason, last, code), send(message), prepare(),
     *     makeOffer(gen), makeAnswer(gen, offer), takeAnswer(gen, answer),
     *     takeCandidates(list, end), drop(), random(most), newId()
     */
    constructor(own, peer, actions) {
        this.#own = own;
        this.#peer = peer;
        this.#actions = actions;
    }

    get state() { return this.#state; }

    /** Of the attempt; "": none. */
    get session() { return this.#id; }

    get caller() { return this.#caller; }

    /** When `tick` is to be called; Infinity: no timer is left. */
    get due() { return Math.min(...this.#due); }

    /** Nothing is under way, and nothing will come of itself. */
    get over() { return ["idle", "failed"].includes(this.#state) && this.due === Infinity; }

    // --- what the application says: passed over where it makes no sense --------------------------

    connect(now) {
        if (this.#state === "connected" || this.#state === "cleanup" || this.#wanted) return;
        this.#wanted = true;
        this.#tries = 0;
        if (this.#state === "idle" || this.#state === "failed") this.#beginAttempt(now);
        else if (this.#inAttempt) this.#due[ATTEMPT] = now + LIMITS.attempt; // the peer's is ours
    }

    accept() {
        if (this.#state !== "preparing") return;
        this.#live = true;
        if (this.#enter("ready")) this.#send("ready");
    }

    /** @param {"refused" | "busy"} reason `refused` is final */
    refuse(reason, now) {
        if (this.#state !== "preparing") return;
        const why = this.#wanted ? "the peer called first and was refused" : "";
        if (this.#bye(reason)) this.#giveUp("closed", why, now);
    }

    /** The offer or answer that was asked for. */
    describe(description, now) {
        const offer = this.#state === "creating-offer";
        if (!offer && this.#state !== "offer-received") return;
        this.#described = true;
        if (this.#local.list.length) this.#due[BATCH] = now + LIMITS.batch;
        if (offer) this.#due[STAGE] = now + LIMITS.answer;
        if (!this.#enter(offer ? "waiting-answer" : "answer-sent")) return;
        this.#send(offer ? "offer" : "answer", description);
        if (this.#local.end) this.#sendBatch();
    }

    /** One of ours; without an argument: all are told. */
    candidate(candidate, now) {
        if (!this.#live) return;
        if (candidate === undefined) this.#local.end = true;
        else append(this.#local.list, [candidate]);
        if (!this.#described) return;
        if (this.#local.end) this.#sendBatch(); // nothing more will come
        else if (this.#due[BATCH] === Infinity) this.#due[BATCH] = now + LIMITS.batch;
    }

    /** @param {"connected" | "disconnected" | "failed"} link how the connection fares */
    link(link, now) {
        if (!this.#live) return;
        this.#linked = link === "connected";
        if (this.#state === "connecting" || this.#state === "answer-sent") {
            if (this.#linked) this.#becomeConnected(now);
            else if (link === "failed" && this.#caller) this.#restartOrFail(now);
        } else if (this.#state === "connected") {
            if (this.#linked) {
                this.#waiting = false;
                this.#due[STAGE] = Infinity;
            } else if (link === "disconnected") {
                this.#due[STAGE] = now + LIMITS.grace;
            } else if (this.#caller) {
                this.#restart(now);
            } else {
                this.#waiting = true;
                this.#due[STAGE] = now + LIMITS.restart;
            }
        }
    }

    /** The attempt comes to nothing, for a reason that only the application knows. */
    fail(code, reason, now) {
        if (this.#inAttempt) this.#abandon(code, reason, now);
    }

    close() {
        if (this.#state === "idle" || this.#state === "cleanup") return;
        if (this.#bye("closed")) this.#finish("closed", "");
    }

    // --- what comes from the peer ----------------------------------------------------------------

    /** @param {{type, session, gen?, payload?, end?}} message payload: a description, a list of
     *     candidates, or the reason of a bye */
    receive(message, now) {
        if (message.type === "knock") this.#takeKnock(message, now);
        if (!this.#id || message.session !== this.#id) return;
        if (message.type === "ready") this.#takeReady(now);
        else if (message.type === "offer") this.#takeOffer(message, now);
        else if (message.type === "answer") this.#takeAnswer(message, now);
        else if (message.type === "candidates") this.#takeCandidates(message);
        else if (message.type === "bye") this.#takeBye(message.payload, now);
    }

    #takeKnock({ session }, now) {
        const calls = this.#caller && this.#inAttempt;
        const fresh = this.#caller && this.#state === "connected" && now < this.#knocks;
        if (!session || session === this.#id || this.#ended.includes(session)) return;
        // Both knock at once: the session of the lower id goes on. The other knock may come late.
        if (fresh || (calls && this.#own < this.#peer)) return;
        if (!this.#endAttempt()) return;
        this.#id = session;
        this.#caller = false;
        this.#due[CLEANUP] = now + LIMITS.cleanup;
        if (this.#wanted) this.#due[ATTEMPT] = now + LIMITS.attempt;
        if (this.#enter("preparing")) this.#actions.prepare();
    }

    #takeReady(now) {
        if (this.#state !== "requesting" && this.#state !== "waiting-ready") return;
        this.#due[STAGE] = Infinity;
        this.#knocks = now + LIMITS.ready;
        this.#live = true;
        if (this.#enter("creating-offer")) this.#actions.makeOffer(this.#gen);
    }

    #takeOffer({ gen, payload }, now) {
        const first = this.#state === "ready" && gen === 0;
        const again =
            gen === this.#gen + 1 &&
            ["offer-received", "answer-sent", "connecting", "connected"].includes(this.#state);
        if (this.#caller || (!first && !again)) return;
        this.#gen = gen;
        this.#live = this.#hasRemote = true;
        this.#described = this.#waiting = false;
        this.#local = { list: [], end: false }; // those were of the generation before
        this.#due[STAGE] = this.#due[BATCH] = Infinity;
        this.#due[CLEANUP] = now + LIMITS.cleanup;
        if (this.#enter("offer-received")) this.#actions.makeAnswer(gen, payload);
        if (this.#hasRemote) this.#handOverEarly(); // only now: the connection has the offer
    }

    #takeAnswer({ gen, payload }, now) {
        const serial = this.#serial;
        if (this.#state !== "waiting-answer" || gen !== this.#gen) return;
        this.#hasRemote = true;
        this.#actions.takeAnswer(gen, payload);
        if (this.#serial === serial) this.#handOverEarly();
        if (this.#serial === serial) this.#beginConnecting(now);
    }

    #takeCandidates({ gen, payload, end }) {
        if (gen === this.#gen && this.#hasRemote) {
            this.#actions.takeCandidates(payload, end);
            return;
        }
        if (gen < this.#gen || gen > this.#gen + 1) return;
        if (gen !== this.#early.gen) this.#early = { list: [], end: false, gen };
        append(this.#early.list, payload);
        this.#early.end ||= end;
    }

    /** What came before the description that it belongs to. */
    #handOverEarly() {
        const { list, end, gen } = this.#early;
        this.#early = { list: [], end: false, gen };
        if (gen === this.#gen && (list.length || end)) this.#actions.takeCandidates(list, end);
    }

    #takeBye(reason, now) {
        if (this.#state === "connected") {
            this.#finish("closed", reason);
        } else if (reason === "refused") {
            this.#giveUp("refused", `${this.#peer} refused`, now, 0, true);
        } else if (reason === "busy") {
            this.#giveUp("busy", `${this.#peer} is busy`, now);
        } else {
            const code = reason === "closed" ? "closed" : "no-path";
            this.#giveUp(code, `${this.#peer} ended the attempt: ${reason}`, now);
        }
    }

    // --- how sending fared -----------------------------------------------------------------------

    /** The index has taken it. */
    sent(type, session, now) {
        if (!this.#id || session !== this.#id) return;
        if (type === "knock" && this.#state === "requesting") this.#enter("waiting-ready");
        else if (type === "answer" && this.#state === "answer-sent") this.#beginConnecting(now);
    }

    /** It has not, or it came back. */
    lost(type, session, code, reason, retryAfter, now) {
        if (!this.#id || session !== this.#id || !this.#inAttempt) return;
        if (type === "bye" || type === "candidates") return; // a connection may come without
        this.#giveUp(code, reason, now, retryAfter);
    }

    // --- time ------------------------------------------------------------------------------------

    tick(now) {
        for (let timer = 0; timer < this.#due.length; timer++) {
            if (this.#due[timer] > now) continue;
            this.#due[timer] = Infinity;
            if (timer === STAGE) this.#stageIsOver(now);
            else if (timer === ATTEMPT) this.#attemptIsOver(now);
            else if (timer === BATCH) this.#sendBatch();
            else if (this.#state !== "connected")
                this.#giveUp("timeout", "nobody finished it", now); // a wish that came late goes on
        }
    }

    #attemptIsOver(now) {
        if (this.#state === "connecting") this.#noPath(now);
        else this.#abandon("timeout", `no connection to ${this.#peer} within 30 s`, now);
    }

    #stageIsOver(now) {
        const peer = this.#peer;
        if (this.#state === "retrying") {
            this.#beginAttempt(now);
        } else if (this.#state === "requesting") {
            this.#abandon("unreachable", `no index took the call to ${peer} within 5 s`, now);
        } else if (this.#state === "waiting-ready") {
            this.#abandon("timeout", `${peer} did not get ready within 5 s`, now);
        } else if (this.#state === "waiting-answer") {
            this.#abandon("timeout", `no answer from ${peer} in 10 s`, now);
        } else if (this.#state === "connecting") {
            this.#restartOrFail(now);
        } else if (this.#state === "connected" && this.#caller) {
            this.#restart(now);
        } else if (this.#state === "connected" && !this.#waiting) {
            this.#waiting = true;
            this.#due[STAGE] = now + LIMITS.restart;
        } else if (this.#state === "connected") { // the caller does not mend it
            this.#wanted = true;
            if (this.#endAttempt()) this.#beginAttempt(now);
        }
    }

    #sendBatch() {
        const { list, end } = this.#local;
        this.#local = { list: [], end: false };
        this.#due[BATCH] = Infinity;
        this.#send("candidates", list, end);
    }

    // --- attempts --------------------------------------------------------------------------------

    get #inAttempt() { return !OUTSIDE.includes(this.#state); }

    #enter(state, reason = "", last = false, code = "") {
        const serial = ++this.#serial;
        this.#state = state;
        this.#actions.state(state, reason, last, code);
        return this.#serial === serial;
    }

    #send(type, payload, end) {
        this.#actions.send({ type, session: this.#id, gen: this.#gen, payload, end });
    }

    #bye(reason) {
        const serial = this.#serial;
        if (this.#id) this.#send("bye", reason);
        return this.#serial === serial;
    }

    #beginAttempt(now) {
        this.#caller = true;
        this.#due[ATTEMPT] = now + LIMITS.attempt;
        this.#due[STAGE] = now + LIMITS.ready;
        this.#id = this.#actions.newId();
        if (this.#enter("requesting")) this.#send("knock");
    }

    /** ICE anew, in the same session, with the next generation. */
    #restart(now) {
        this.#restarted = true;
        this.#described = this.#hasRemote = this.#waiting = false;
        this.#gen++;
        this.#forgetCandidates();
        this.#due[STAGE] = this.#due[BATCH] = Infinity;
        if (this.#state === "connected") {
            this.#wanted = true;
            this.#due[CLEANUP] = Infinity;
            this.#due[ATTEMPT] = now + LIMITS.attempt;
        }
        if (this.#enter("creating-offer")) this.#actions.makeOffer(this.#gen);
    }

    #restartOrFail(now) {
        if (!this.#restarted && now < this.#due[ATTEMPT]) this.#restart(now);
        else this.#noPath(now);
    }

    #noPath(now) {
        const reason = "no path between the two networks: no pair of addresses worked";
        this.#abandon("no-path", reason, now);
    }

    /** Both descriptions of this generation are with both ends. */
    #beginConnecting(now) {
        if (this.#caller) this.#due[STAGE] = now + LIMITS.ice;
        // It was never gone, or is back already.
        if (this.#enter("connecting") && this.#linked) this.#becomeConnected(now);
    }

    #becomeConnected(now) {
        if (this.#state === "answer-sent" && !this.#enter("connecting")) return;
        this.#restarted = this.#waiting = this.#wanted = false;
        this.#tries = 0;
        this.#due[STAGE] = this.#due[ATTEMPT] = Infinity;
        this.#due[CLEANUP] = now + LIMITS.cleanup;
        this.#enter("connected");
    }

    #abandon(code, reason, now) {
        if (this.#bye("failed")) this.#giveUp(code, reason, now);
    }

    /** What is to come of an attempt that came to nothing depends on whether we want one. */
    #giveUp(code, reason, now, retryAfter = 0, final = false) {
        if (!this.#caller && !this.#wanted) {
            this.#finish(code, reason);
            return;
        }
        const last = final || this.#tries >= this.retries;
        if (!this.#endAttempt()) return;
        if (last) this.#wanted = false;
        if (!this.#enter("failed", reason, last, code) || last) return;
        this.#tries++;
        const pause = LIMITS.retry / 2 + this.#actions.random(LIMITS.retry);
        this.#due[STAGE] = now + Math.max(pause, retryAfter);
        this.#enter("retrying");
    }

    /** For good. */
    #finish(code, reason) {
        if (!this.#endAttempt()) return;
        this.#wanted = false;
        this.#tries = 0;
        this.#due.fill(Infinity); // a connect from inside `drop` came too early
        if (this.#enter("cleanup", reason, false, code)) this.#enter("idle");
    }

    /** The attempt is over: nothing of it is left. */
    #endAttempt() {
        const serial = this.#serial;
        const live = this.#live;
        this.#due.fill(Infinity);
        this.#forgetCandidates();
        if (this.#id && !this.#caller) this.#ended = [...this.#ended, this.#id].slice(-ENDED);
        this.#id = "";
        this.#live = this.#restarted = this.#waiting = this.#linked = false;
        this.#described = this.#hasRemote = false;
        this.#gen = this.#early.gen = 0;
        if (live) this.#actions.drop();
        return this.#serial === serial;
    }

    #forgetCandidates() {
        this.#local = { list: [], end: false };
        this.#early = { list: [], end: false, gen: this.#early.gen };
    }
}

/** Where there are too many, candidates are lost: others may do. */
function append(list, more) {
    if (JSON.stringify([list, more]).length <= LIMITS.candidates) list.push(...more);
}

const WAIT_S = 25; // of a long poll, at most
const WAIT_SPREAD = 5; // it is up to a fifth less, by chance
const SHORT_MS = 10000; // a request that does not wait takes no longer, one that does so much more
const SEND_MS = 5000; // one try of a message
const LEAVE_MS = 2000; // what is on its way when the page leaves
const YIELD_MS = 2000; // a post that takes longer may want for a connection: the poll has one
const CUT_AFTER_MS = 500; // a poll that lived so long was cut; before, the index is away
const BACKOFF_MS = 500; // the first, doubled each time up to
const BACKOFF_MOST_MS = 10000;
const REFUSED_MOST_MS = 60000;
const RETRY_MOST_MS = 600000; // whatever Retry-After says
const PAGE_NODES = 500;
const REPEATS = 1024; // messages that are known again
const TTL_S = { knock: 5, ready: 5, offer: 10, answer: 10 }; // as the index has it; others 30

/**
 * One index: keeps the node registered, reads list and mailbox with one poll after another (which
 * renews the lease), and posts messages.
 */
class Index {
    id;
    state = "connecting"; // ready, away, refused, replaced, left
    error = null; // why it is not ready
    hurry = false; // the page goes: nothing can wait for its turn
    #options;
    #events;
    #clock;
    #open = new Set(); // AbortControllers of requests under way
    #poll = null; // the one of the poll
    #interrupted = false; // we have cut it ourselves
    #rests = new Set(); // functions that end a rest early
    #queues = new Map(); // of a session: its last post
    #seen = new Set();
    #registered = false;
    #loop; // until it ends
    #leaving = false;
    #stopped = false;
    #failures = 0;
    #losses = 0; // of the lease, since a poll was answered
    #since;
    #after;
    #probing = false; // the next poll does not wait: was the last one cut, or is the index away?

    /**
     * @param {object} options url, network, id, token, key, meta, listed, ttl, fetch, clock
     * @param {object} events state(), awake(), whole(nodes), change(nodes, gone),
     *     message(message), knows(id)
     */
    constructor(options, events) {
        this.#options = options;
        this.#events = events;
        this.#clock = options.clock;
        this.id = options.id;
    }

    start() {
        this.#loop = this.#run();
    }

    async #run() {
        while (!this.#leaving) {
            try {
                await (this.#registered ? this.#pollOnce() : this.#register());
            } catch (error) {
                const sentence = `the index says what makes no sense: ${error.message}`;
                await this.#trouble(new SignpostError("protocol", sentence, error));
            }
        }
    }

    // --- requests --------------------------------------------------------------------------------

    /** The reply; where there was none its status is 0. */
    async #request(method, path, how = {}) {
        const { url, fetch, token } = this.#options;
        const { content, timeout = SHORT_MS, credential = token, keepalive = false } = how;
        const controller = how.abort ?? new AbortController();
        const timer = this.#clock.setTimeout(() => controller.abort(), timeout);
        const headers = {};
        if (credential) headers.Authorization = `Bearer ${credential}`;
        if (content) headers["Content-Type"] = "application/json";
        this.#open.add(controller);
        try {
            const reply = await fetch(url + path, {
                method,
                headers,
                body: content && JSON.stringify(content),
                signal: controller.signal,
                keepalive,
                cache: "no-store",
                credentials: "omit",
                referrerPolicy: "no-referrer",
            });
            const retryAfter = Number(reply.headers.get("Retry-After")) * 1000 || 0;
            const body = parse(await reply.text());
            return { status: reply.status, body, retryAfter: Math.min(retryAfter, RETRY_MOST_MS) };
        } catch {
            return { status: 0, body: null, retryAfter: 0 };
        } finally {
            this.#clock.clearTimeout(timer);
            this.#open.delete(controller);
        }
    }

    /** `firm`: to its end, as the index has asked for it. */
    #rest(ms, firm = false) {
        return new Promise((resolve) => {
            if (this.#stopped) return resolve();
            const rest = { firm, timer: null };
            rest.wake = () => {
                this.#clock.clearTimeout(rest.timer);
                this.#rests.delete(rest);
                resolve();
            };
            rest.timer = this.#clock.setTimeout(rest.wake, ms);
            this.#rests.add(rest);
        });
    }

    #backOff(failures, most, retryAfter = 0, atMost = Infinity) {
        const delay = this.#clock.random() * Math.min(BACKOFF_MS * 2 ** failures, most);
        const ms = retryAfter ? retryAfter + delay / 4 : delay;
        return this.#rest(Math.min(ms, atMost), retryAfter > 0);
    }

    /** What waits for better times is tried now. */
    nudge(all = false) {
        for (const rest of [...this.#rests]) if (all || !rest.firm) rest.wake();
    }

    /** The network is another: what the poll waits at may be dead. */
    renew() {
        this.nudge();
        this.#interrupt();
    }

    #interrupt() {
        if (!this.#poll) return;
        this.#interrupted = true;
        this.#poll.abort();
    }

    #setState(state, error = null) {
        const changed = this.state !== state || this.error?.code !== error?.code;
        this.state = state;
        this.error = error;
        if (state === "ready" && changed) this.nudge();
        if (changed) this.#events.state();
    }

    /** An index that is only busy is not away. */
    async #trouble(error, retryAfter) {
        const refused = error.code === "refused" || error.code === "taken";
        const most = refused ? REFUSED_MOST_MS : BACKOFF_MOST_MS;
        this.#probing = false;
        if (!this.#leaving && (error.code !== "busy" || this.state !== "ready"))
            this.#setState(refused ? "refused" : "away", error);
        if (this.#leaving) return;
        await this.#backOff(this.#failures++, most, retryAfter);
    }

    // --- the node --------------------------------------------------------------------------------

    async #register() {
        const { network, meta, listed, ttl, token, key } = this.#options;
        const content = { id: this.id, network, meta, listed, ttl, token };
        const how = { content, credential: key ?? "" };
        const reply = await this.#request("POST", "/register", how);
        const ok = reply.status === 200 || reply.status === 201;
        if (!ok || typeof reply.body?.id !== "string") {
            await this.#trouble(explain(reply), reply.retryAfter);
            return;
        }
        this.id = reply.body.id;
        this.#registered = true;
    }

    /** The index does not know our token any more. */
    #loseLease() {
        if (!this.#registered) return;
        // The tries until the index was there have spread the pages out already: from the start
        // again. But ever later where it is lost again before a poll was answered.
        this.#failures = this.#losses++;
        this.#registered = false;
        this.#probing = false;
        this.#interrupt();
    }

    /**
     * The node goes, its mailbox too; then nothing is under way any more.
     * @param {boolean} patient what is on its way may still arrive; a page that goes cannot wait
     */
    async leave(patient) {
        this.#leaving = true;
        this.renew();
        const pending = Promise.allSettled([this.#loop, ...this.#queues.values()]);
        if (patient) await Promise.race([pending, this.#rest(LEAVE_MS)]);
        if (this.#registered) {
            const how = { keepalive: true, timeout: LEAVE_MS };
            await this.#request("DELETE", `/nodes/${this.id}`, how);
        }
        this.stop("left");
        await pending;
    }

    stop(state, error) {
        this.#leaving = this.#stopped = true;
        this.#registered = false;
        for (const controller of [...this.#open]) controller.abort();
        this.nudge(true);
        this.#setState(state, error);
    }

    // --- polling ---------------------------------------------------------------------------------

    async #pollOnce() {
        const wait = this.state === "ready" && !this.#probing ? this.#drawWait() : 0;
        const content = { since: this.#since, after: this.#after, wait, limit: PAGE_NODES };
        const asked = this.#clock.now();
        const abort = (this.#poll = new AbortController());
        const how = { content, timeout: wait * 1000 + SHORT_MS, abort };
        const reply = await this.#request("POST", "/events", how);
        this.#poll = null;
        const interrupted = this.#interrupted && reply.status === 0;
        this.#interrupted = false;
        if (this.#leaving || interrupted) return;
        const cut = wait && this.#clock.now() - asked > CUT_AFTER_MS;
        if (reply.status === 200 && reply.body?.list && reply.body?.mail)
            await this.#answered(reply);
        else await this.#unanswered(reply, cut);
    }

    /** Polls that came together, as after an outage, come apart. */
    #drawWait() {
        return WAIT_S - Math.floor(this.#clock.random() * (1 + WAIT_S / WAIT_SPREAD));
    }

    async #answered(reply) {
        const { list, mail } = reply.body;
        this.#probing = false;
        this.#events.awake();
        for (const message of mail.messages ?? []) this.#take(message);
        if (this.#leaving) return;
        this.#after = mail.next; // what was handed over is acknowledged by the next poll
        if (!(await this.#takeList(list)) || this.#leaving) return;
        this.#failures = this.#losses = 0;
        this.#setState("ready");
        if (reply.retryAfter) await this.#rest(reply.retryAfter, true);
    }

    async #unanswered(reply, cut) {
        const error = explain(reply);
        if (reply.body?.action === "register") {
            this.#loseLease();
            await this.#backOff(this.#failures++, BACKOFF_MOST_MS);
        } else if (reply.body?.code === "superseded") {
            this.stop("replaced", new SignpostError(
                "replaced", `someone else is ${this.id} now, in another tab or place`));
        } else if (cut && error.code === "unreachable" && !reply.retryAfter) {
            this.#probing = true;
        } else {
            if (reply.body?.code === "bad_cursor") this.#since = this.#after = undefined;
            await this.#trouble(error, reply.retryAfter);
        }
    }

    /** False: a page of it did not come, and all of it will come again. */
    async #takeList({ nodes, gone, cursor, reset, more, after }) {
        if (this.#since && !reset) {
            this.#events.change(nodes, gone);
            this.#since = cursor;
            return true;
        }
        const all = [...nodes];
        while (more) {
            const from = encodeURIComponent(after ?? all.at(-1)?.id ?? "");
            const reply = await this.#request("GET", `/list?limit=${PAGE_NODES}&after=${from}`);
            if (this.#leaving) return false;
            if (reply.status !== 200) {
                if (reply.body?.action === "register") this.#loseLease();
                await this.#trouble(explain(reply), reply.retryAfter);
                return false;
            }
            ({ more, after } = reply.body);
            all.push(...reply.body.nodes);
        }
        this.#events.whole(all);
        this.#since = cursor; // of the first page, so that nothing is missed
        return true;
    }

    /** Messages come at least once. */
    #take(message) {
        const name = `${message.from} ${message.id}`;
        if (this.#seen.has(name)) return;
        this.#seen.add(name);
        if (this.#seen.size > REPEATS) this.#seen.delete(this.#seen.values().next().value);
        this.#events.message(message);
    }

    // --- posting ---------------------------------------------------------------------------------

    /**
     * Resolves when the index has taken the message, rejects with a SignpostError. Those of one
     * session to one peer go one after the other, so that they arrive in order.
     */
    async post(to, type, session, body, ttl) {
        const message = { id: newId(), type, session, body, ttl };
        const deadline = this.#clock.now() + (ttl ?? TTL_S[type] ?? 30) * 1000;
        const queue = `${to} ${session ?? message.id}`;
        const before = this.hurry ? undefined : this.#queues.get(queue);
        const deliver = () => this.#deliver(to, message, deadline);
        const done = before ? before.then(deliver, deliver) : deliver();
        this.#queues.set(queue, done);
        try {
            return await done;
        } finally {
            if (this.#queues.get(queue) === done) this.#queues.delete(queue);
        }
    }

    /** With the same id each time, so that a retry is harmless. */
    async #deliver(to, message, deadline) {
        const path = `/mailbox/${encodeURIComponent(to)}`;
        let error = new SignpostError("timeout", `the ${message.type} did not get away in time`);
        for (let failures = 0; ; failures++) {
            const left = deadline - this.#clock.now();
            if (this.#stopped) throw this.error ?? new SignpostError("closed", "this page left");
            if (left <= 0) throw error;
            const slow = this.#clock.setTimeout(() => this.#interrupt(), YIELD_MS);
            const how = { content: message, timeout: Math.min(SEND_MS, left) };
            how.keepalive = message.type === "bye";
            const reply = await this.#request("POST", path, how);
            this.#clock.clearTimeout(slow);
            if (reply.status === 202) return reply.body;
            if (reply.body?.action === "register") this.#loseLease();
            error = explain(reply, to);
            const final = error.code === "offline" ? !this.#events.knows(to) : error.final;
            if (final) throw error;
            const rest = Math.max(deadline - this.#clock.now(), 0);
            await this.#backOff(failures, SEND_MS, reply.retryAfter, rest);
        }
    }

    /** {iceServers, ttl}; {}: the index has none for us; undefined: it did not answer. */
    async ice() {
        const reply = await this.#request("GET", "/ice", { timeout: SEND_MS });
        if (reply.status === 200 && Array.isArray(reply.body?.iceServers)) return reply.body;
        return reply.status >= 400 && reply.status < 429 ? {} : undefined;
    }
}

function parse(text) {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}

/** What a reply means that is no success. `final`: the same again would not help. */
function explain({ status, body }, peer) {
    const { code, detail, action } = body ?? {};
    const make = (word, sentence, final = false) =>
        Object.assign(new SignpostError(word, sentence), { final });
    if (!status) return make("unreachable", "the index does not answer");
    if (status >= 500 && !code) return make("unreachable", "the index is not there right now");
    if (!code) return make("protocol", `this is no index: it answered with status ${status}`);
    if (action === "register") return make("unreachable", "the index does not know this page yet");
    if (peer && code === "unknown_node") return make("offline", `${peer} is offline`);
    if (status === 429 || status === 503) return make("busy", `the index is busy: ${detail}`);
    return make(code === "id_taken" ? "taken" : "refused", String(detail), true);
}

let webcrypto = globalThis.crypto;

function random(bytes) {
    const text = String.fromCharCode(...webcrypto.getRandomValues(new Uint8Array(bytes)));
    return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const newId = () => random(16);

/**
 * Who is there, as the index lists it: a Map of id to record, without ourselves. A node that is
 * missing in a later whole list is kept for a while: an index that was emptied knows nobody at
 * first, and they all come back.
 */
class Directory {
    nodes = new Map();
    #missing = new Map(); // id: until when it is kept
    #keep;
    #tell;

    /**
     * @param {number} keep ms
     * @param {(type: string, node: object) => void} tell nodeup, nodechange, nodedown
     */
    constructor(keep, tell) {
        this.#keep = keep;
        this.#tell = tell;
    }

    get due() { return Math.min(Infinity, ...this.#missing.values()); }

    whole(nodes, now) {
        const listed = new Set(nodes.map((node) => node.id));
        for (const id of this.nodes.keys())
            if (!listed.has(id)) this.#missing.set(id, now + this.#keep);
        this.change(nodes, []);
    }

    change(nodes, gone) {
        for (const node of nodes) this.#put(node);
        for (const id of gone) this.#remove(id);
    }

    tick(now) {
        for (const [id, until] of this.#missing) if (until <= now) this.#remove(id);
    }

    #put(node) {
        const before = this.nodes.get(node.id);
        this.#missing.delete(node.id);
        this.nodes.set(node.id, node);
        if (!before) this.#tell("nodeup", node);
        else if (fingerprint(before) !== fingerprint(node)) this.#tell("nodechange", node);
    }

    #remove(id) {
        const node = this.nodes.get(id);
        this.#missing.delete(id);
        if (this.nodes.delete(id)) this.#tell("nodedown", node);
    }
}

/** Of what can change; ages do all the time. */
function fingerprint({ endpoints, observed, meta, reach }) {
    return JSON.stringify([endpoints, observed, meta, reach]);
}

/**
 * The RTCPeerConnection of one attempt and its first data channel. What is asked of it happens step
 * by step, in the order of asking; after `close` nothing does, and nobody minds what fails.
 */
class Connection {
    pc = null;
    channel = null;
    ended; // a promise
    #events;
    #steps = Promise.resolve();
    #gen = 0; // the newest that was asked for
    #closed = false;
    #cleanups = [];

    /**
     * @param {object} events create() gives the RTCPeerConnection, setup(pc) adds what the page
     *     wants; described(sdp), candidate(candidate), link(state), changed(), failed(error)
     */
    constructor(events) {
        this.#events = events;
        this.ended = new Promise((resolve) => this.#cleanups.push(resolve));
    }

    makeOffer(gen, label, options, refresh) {
        this.#gen = gen;
        this.#step(async () => {
            if (gen > 0) await refresh(this.pc);
            else await this.#begin((pc) => this.#use(pc.createDataChannel(label, options)));
            await this.#describe(gen, await this.pc.createOffer({ iceRestart: gen > 0 }));
        });
    }

    makeAnswer(gen, sdp) {
        this.#gen = gen;
        this.#step(async () => {
            if (!this.pc) await this.#begin((pc) => this.#expectChannel(pc));
            await this.pc.setRemoteDescription({ type: "offer", sdp });
            await this.#describe(gen, await this.pc.createAnswer());
        });
    }

    takeAnswer(sdp) {
        this.#step(() => this.pc.setRemoteDescription({ type: "answer", sdp }));
    }

    /** One that the browser cannot read is not missed: others may do. */
    takeCandidates(list, end) {
        this.#step(async () => {
            for (const candidate of end ? [...list, undefined] : list) {
                try {
                    await this.pc.addIceCandidate(candidate);
                } catch {}
            }
        });
    }

    close() {
        this.#closed = true;
        for (const clean of this.#cleanups) clean();
        this.channel?.close();
        this.pc?.close();
    }

    #step(step) {
        const failed = (error) => this.#closed || this.#events.failed(error);
        this.#steps = this.#steps.then(() => this.#closed || step()).catch(failed);
    }

    async #begin(openChannel) {
        const pc = await this.#events.create();
        if (this.#closed) {
            pc.close();
            return;
        }
        this.pc = pc;
        this.#on(pc, "icecandidate", ({ candidate }) => {
            // An empty one ends a section; null ends them all.
            if (!candidate) this.#events.candidate();
            else if (candidate.candidate) this.#events.candidate(candidate.toJSON());
        });
        this.#on(pc, "connectionstatechange", () => this.#events.link(pc.connectionState));
        openChannel(pc);
        await this.#events.setup(pc);
    }

    async #describe(gen, description) {
        await this.pc.setLocalDescription(description);
        if (gen === this.#gen && !this.#closed) this.#events.described(description.sdp);
    }

    #use(channel) {
        this.channel = channel;
        this.#on(channel, "open", () => this.#events.changed());
        this.#on(channel, "close", () => this.#events.changed());
        if (channel.readyState === "open") this.#events.changed();
    }

    /** The first that the caller opens is the one. */
    #expectChannel(pc) {
        this.#on(pc, "datachannel", ({ channel }) => this.channel || this.#use(channel));
    }

    #on(target, type, listener) {
        target.addEventListener(type, listener);
        this.#cleanups.push(() => target.removeEventListener(type, listener));
    }
}

const CHANNEL_MS = 10000; // from the connection to its open channel
const LINGER_MS = 10000; // of a session that is over: a late knock of it may come
const KNOCKS = 8; // of one peer at once,
const KNOCK_MS = 1000; // and one more after each such time; retries come slower

/** One peer: the machine says what to do, the index and a peer connection do it. */
class Session {
    machine;
    overSince = Infinity;
    #peer;
    #all; // Sessions
    #connection = null;
    #wish = null; // of `connect`: how it wants the connection
    #waiters = new Set(); // {resolve, reject}: calls of `connect` that are not settled
    #why = ["closed", ""]; // what ended the last attempt: code, reason
    #failure = null; // an error of the page's own setup
    #told = null; // the connection, as far as the page has it
    #channelDue = Infinity;
    #knocks = 0; // lately, as a bucket that leaks
    #knocked = 0;

    constructor(peer, all) {
        this.#peer = peer;
        this.#all = all;
        this.machine = new Machine(all.id, peer, {
            state: (...what) => this.#entered(...what),
            send: (message) => this.#send(message),
            prepare: () => this.#prepare(),
            makeOffer: (gen) => this.#makeOffer(gen),
            makeAnswer: (gen, offer) => this.#current().makeAnswer(gen, offer),
            takeAnswer: (gen, answer) => this.#current().takeAnswer(answer),
            takeCandidates: (list, end) => this.#current().takeCandidates(list, end),
            drop: () => this.#drop(),
            random: (most) => all.clock.random() * most,
            newId,
        });
    }

    get due() { return Math.min(this.machine.due, this.#channelDue, this.overSince + LINGER_MS); }

    /** A call of the peer's that is not connected yet. */
    get called() {
        return !this.machine.caller && this.machine.state !== "connected" && !this.machine.over;
    }

    /** Resolves with the connection, also with one that is there or that the peer makes. */
    connect(wish, signal) {
        return new Promise((resolve, reject) => {
            const end = (settle) => (value) => {
                signal?.removeEventListener("abort", onAbort);
                this.#waiters.delete(waiter);
                settle(value);
            };
            const waiter = { resolve: end(resolve), reject: end(reject) };
            const onAbort = () => {
                waiter.reject(aborted());
                if (!this.#waiters.size && this.machine.state !== "connected") this.close();
            };
            signal?.addEventListener("abort", onAbort);
            this.#waiters.add(waiter);
            this.#wish = wish;
            this.machine.retries = wish.retries;
            this.tell((now) => this.machine.connect(now));
            this.#changed();
        });
    }

    close() {
        this.tell(() => this.machine.close());
    }

    /** What is not connected yet never will be. */
    abandon(error) {
        if (this.machine.state === "connected") return;
        this.#failure = error;
        this.close();
    }

    /** Whatever is said to the machine: its time may be another afterwards. */
    tell(say) {
        say(this.#all.clock.now());
        this.#all.follow();
    }

    tick(now) {
        if (this.machine.due <= now) this.machine.tick(now);
        if (this.#channelDue <= now) {
            this.#why = ["timeout", `${this.#peer} opened no channel`];
            this.machine.close();
        }
    }

    /** An honest peer knocks seldom; each knock is to cost us little. */
    knocksTooOften(now) {
        const leaked = Math.floor((now - this.#knocked) / KNOCK_MS);
        if (leaked > 0) {
            this.#knocks = Math.max(0, this.#knocks - leaked);
            this.#knocked = now;
        }
        if (this.#knocks >= KNOCKS) return true;
        this.#knocks++;
        return false;
    }

    // --- what the machine wants ------------------------------------------------------------------

    #entered(state, reason, last, code) {
        if (code) this.#why = [code, reason];
        this.#all.emit("state", { peer: this.#peer, state, reason, code, last });
        if (this.machine.state !== state) return; // the page has done something
        if (state === "idle" || (state === "failed" && last)) this.#giveUp();
        else if (state === "connected") this.#changed();
        else if (state === "requesting" && !this.#waiters.size && !this.#all.takesCalls)
            this.machine.close(); // nobody is there for a connection that is made anew
    }

    #giveUp() {
        const [code, reason] = this.#why;
        const sentence = reason || `the connection to ${this.#peer} was closed`;
        const error = this.#failure ?? new SignpostError(code, sentence);
        this.#why = ["closed", ""];
        this.#failure = this.#wish = null;
        for (const waiter of [...this.#waiters]) waiter.reject(error);
    }

    async #send({ type, session, gen, payload, end }) {
        try {
            const body = write(type, this.#all.kind, gen, payload, end);
            await this.#all.index.post(this.#peer, type, session, body);
            this.tell((now) => this.machine.sent(type, session, now));
        } catch (error) {
            const { code, message } = error;
            this.tell((now) => this.machine.lost(type, session, code, message, 0, now));
        }
    }

    async #prepare() {
        const { session } = this.machine;
        const answer = this.#waiters.size > 0 || (await this.#all.asks(this.#peer));
        if (this.machine.session !== session) return; // it took too long
        this.tell((now) => {
            if (answer === true) this.machine.accept();
            else this.machine.refuse(answer === "busy" ? "busy" : "refused", now);
        });
    }

    #makeOffer(gen) {
        const { label = "signpost", channelOptions } = this.#wish ?? {};
        const options = { ...channelOptions, negotiated: false };
        // The relay's password may be another by now; what cannot be changed stays.
        const refresh = async (pc) => {
            const config = await this.#all.config(this.#wish?.rtc);
            try {
                pc.setConfiguration(config);
            } catch {}
        };
        this.#current().makeOffer(gen, label, options, refresh);
    }

    #current() {
        return (this.#connection ??= new Connection({
            create: () => this.#all.createConnection(this.#wish?.rtc),
            setup: (pc) => this.#setup(pc),
            described: (sdp) => this.tell((now) => this.machine.describe(sdp, now)),
            candidate: (candidate) => this.tell((now) => this.machine.candidate(candidate, now)),
            link: (state) => this.tell((now) => this.#link(state, now)),
            changed: () => this.tell(() => this.#changed()),
            failed: (error) => this.tell((now) => this.#failed(error, now)),
        }));
    }

    async #setup(pc) {
        const { caller } = this.machine;
        try {
            await (this.#wish?.setup ?? this.#all.setup)?.(pc, { peer: this.#peer, caller });
        } catch (error) {
            throw new SignpostError("setup", `this page failed: ${error?.message}`, error);
        }
    }

    #link(state, now) {
        if (["connected", "disconnected", "failed"].includes(state)) this.machine.link(state, now);
    }

    #failed(error, now) {
        if (error.code === "setup") {
            this.#failure = error;
            this.machine.close(); // another attempt would fail too
        } else {
            const reason = `this browser and ${this.#peer} do not agree: ${error?.message}`;
            this.machine.fail("protocol", reason, now);
        }
    }

    #drop() {
        const connection = this.#connection;
        this.#connection = this.#told = null;
        this.#channelDue = Infinity;
        connection?.close();
    }

    /** The connection and its channel are both needed; when the channel ends, so does the rest. */
    #changed() {
        const connection = this.#connection;
        const channel = connection?.channel;
        if (this.machine.state !== "connected" || !connection) return;
        if (channel?.readyState === "open") this.#deliver(connection);
        else if (channel && channel.readyState !== "connecting") this.machine.close();
        else if (this.#channelDue === Infinity)
            this.#channelDue = this.#all.clock.now() + CHANNEL_MS;
    }

    #deliver(connection) {
        const fresh = !this.#told;
        this.#channelDue = Infinity;
        this.#told ??= Object.freeze({
            peer: this.#peer,
            channel: connection.channel,
            connection: connection.pc,
            closed: connection.ended,
            close: () => connection === this.#connection && this.close(),
        });
        const told = this.#told;
        const waiters = [...this.#waiters];
        for (const waiter of waiters) waiter.resolve(told);
        if (fresh && !waiters.length) this.#all.emit("connect", told);
    }
}

/** The body of a message; docs/sessions.md. */
function write(type, kind, gen, payload, end) {
    if (type === "knock" || type === "ready") return { kind };
    if (type === "bye") return { reason: payload };
    if (type === "candidates") return { gen, candidates: payload, end };
    return { type, sdp: payload, gen };
}

/** What the machine makes of a message; undefined: nothing. */
function read({ type, session, body }) {
    if (!session || typeof body !== "object" || !body) return undefined;
    const { gen = 0 } = body;
    const isGen = Number.isInteger(gen) && gen >= 0 && gen <= 1e6;
    if (type === "knock" || type === "ready")
        return typeof body.kind === "string" ? { type, session } : undefined;
    if (type === "bye") {
        const reason = String(body.reason ?? "").replace(/[\p{Cc}\p{Cf}]/gu, " ").slice(0, 127);
        return { type, session, payload: reason };
    }
    if (type === "candidates") {
        const { candidates = [], end } = body;
        const fine = Array.isArray(candidates) && candidates.length <= 256 && isGen &&
            candidates.every((item) => typeof item === "object" && item);
        return fine ? { type, session, gen, payload: candidates, end: end === true } : undefined;
    }
    const fine = body.type === type && typeof body.sdp === "string" && isGen;
    return fine ? { type, session, gen, payload: body.sdp } : undefined;
}

const TYPES = ["knock", "ready", "offer", "answer", "candidates", "bye"];
const SESSIONS = 4096; // also those that are over, for a little while
const CALLED = 32; // that peers began and that are not connected yet
const BYES = 32; // for whom there is no session, on their way
const NO_ICE_MS = 60000; // so long an index without /ice is not asked again

/** All sessions of a page, one for each peer: brings each what the mailbox has, keeps its time. */
class Sessions {
    clock;
    index;
    kind;
    setup;
    #all = new Map();
    #options;
    #page;
    #byes = 0;
    #ice = {}; // as the index said
    #iceUntil = -Infinity;

    /**
     * @param {object} options of join
     * @param {object} page emit(type, detail), takesCalls(), accept(peer), follow()
     */
    constructor(options, index, page) {
        this.clock = options.clock;
        this.kind = options.kind;
        this.setup = options.setup;
        this.index = index;
        this.#options = options;
        this.#page = page;
    }

    get id() { return this.index.id; }

    get takesCalls() { return this.#page.takesCalls(); }

    get due() {
        return Math.min(Infinity, ...[...this.#all.values()].map((session) => session.due));
    }

    emit(type, detail) {
        this.#page.emit(type, detail);
    }

    /** Whether each is over shows here. */
    follow() {
        for (const session of this.#all.values()) {
            if (!session.machine.over) session.overSince = Infinity;
            else if (session.overSince === Infinity) session.overSince = this.clock.now();
        }
        this.#page.follow();
    }

    tick(now) {
        for (const [peer, session] of [...this.#all])
            if (session.machine.over && session.due <= now) this.#all.delete(peer);
            else if (session.due <= now) session.tick(now);
    }

    connect(peer, wish, signal) {
        void this.config(wish.rtc); // asked for now, needed soon
        return this.#get(peer).connect(wish, signal);
    }

    close() {
        for (const { machine } of this.#all.values()) if (!machine.over) machine.close();
        this.#all.clear();
    }

    abandon(error) {
        for (const session of this.#all.values()) session.abandon(error);
    }

    // --- for a session ---------------------------------------------------------------------------

    /** Does the page take this call? */
    async asks(peer) {
        if (!this.takesCalls) return false;
        try {
            return await this.#page.accept(peer);
        } catch (error) {
            report(error);
            return false;
        }
    }

    /** The RTCConfiguration: of the index, of the page, of the call; the last word counts. */
    async config(rtc) {
        const own = { ...this.#options.rtc, ...rtc };
        if (own.iceServers) return own;
        if (this.clock.now() >= this.#iceUntil) {
            this.#asked ??= this.index.ice();
            const ice = await this.#asked;
            this.#asked = null;
            if (ice) {
                const ms = ice.iceServers ? (ice.ttl ?? 3600) * 500 : NO_ICE_MS;
                this.#ice = ice;
                this.#iceUntil = this.clock.now() + ms;
            }
        }
        const { iceServers } = this.#ice;
        return iceServers ? { iceServers, ...own } : own;
    }
    #asked = null;

    async createConnection(rtc) {
        const config = await this.config(rtc);
        try {
            return new this.#options.RTCPeerConnection(config);
        } catch (error) {
            throw new SignpostError("setup", `no peer connection: ${error.message}`, error);
        }
    }

    // --- what comes from the mailbox -------------------------------------------------------------

    take(message) {
        const { from, type } = message;
        if (type === "undeliverable") this.#takeBack(message.body);
        else if (!TYPES.includes(type)) this.emit("message", { peer: from, message });
        else if (type === "knock") this.#takeKnock(message);
        else this.#tell(this.#all.get(from), read(message));
    }

    #tell(session, signal) {
        if (session && signal) session.tell((now) => session.machine.receive(signal, now));
    }

    #takeKnock(message) {
        const { from, body } = message;
        const signal = read(message);
        const known = this.#all.get(from);
        if (!signal) return;
        if (body.kind !== this.kind || (!known && !this.takesCalls)) this.#bye(message, "refused");
        else if (!known && !this.#hasRoom()) this.#bye(message, "busy");
        else {
            const session = this.#get(from);
            if (!session.knocksTooOften(this.clock.now())) this.#tell(session, signal);
        }
    }

    #hasRoom() {
        const called = [...this.#all.values()].filter((session) => session.called);
        return called.length < CALLED && this.#all.size < SESSIONS;
    }

    /** Nothing is kept of a caller who gets no session. */
    #bye({ from, session }, reason) {
        if (this.#byes >= BYES) return;
        this.#byes++;
        const done = () => this.#byes--;
        this.index.post(from, "bye", session, { reason }).then(done, done);
    }

    #takeBack({ to, type, session: id, reason }) {
        const session = this.#all.get(to);
        const gone = reason === "gone";
        const sentence = gone ? `${to} is offline` : `${to} did not fetch the ${type} in time`;
        session?.tell((now) =>
            session.machine.lost(type, id, gone ? "offline" : "timeout", sentence, 0, now));
    }

    #get(peer) {
        let session = this.#all.get(peer);
        if (!session) this.#all.set(peer, (session = new Session(peer, this)));
        session.overSince = Infinity;
        return session;
    }
}

/** An error of the page's own code is its business, and does not stop ours. */
function report(error) {
    if (globalThis.reportError) globalThis.reportError(error);
    else queueMicrotask(() => { throw error; });
}

function addressOf(url) {
    try {
        return new URL(url, globalThis.location?.href).href.replace(/\/+$/, "");
    } catch (error) {
        throw new SignpostError("invalid", `${url} is no URL of an index`, error);
    }
}

const aborted = () => new SignpostError("aborted", "it was called off");

/** `detail` becomes members of the event. */
class SignpostEvent extends Event {
    constructor(type, detail) {
        super(type);
        Object.assign(this, detail);
    }
}

const CLOCK = {
    now: () => performance.now(),
    setTimeout: (callback, ms) => setTimeout(callback, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    random: () => Math.random(),
};

const JOIN_MS = 15000; // so long an index that is away is tried
const LEASE_S = 120; // a tab in the background has one timer a minute

/** A page (or a program) that is at an index. */
export class Signpost extends EventTarget {
    onconnect = null;
    onnodeup = null;
    onnodechange = null;
    onnodedown = null;
    onstate = null;
    onindex = null;
    onmessage = null;
    /** Asked of each call: true takes it, false refuses, "busy" says so. */
    accept = null;
    #options;
    #index;
    #directory;
    #sessions;
    #timer;
    #listens = false; // for `connect`
    #left = null; // a promise
    #ears = new AbortController();

    /** For `join` alone. */
    constructor(options) {
        super();
        const { clock, ttl, accept = null } = options;
        this.#options = options;
        this.accept = accept;
        this.#directory = new Directory(ttl * 1000, (type, node) =>
            this.#emit(type, { peer: node.id, node }));
        this.#index = new Index(options, {
            state: () => this.#emit("index", { state: this.index, error: this.#index.error }),
            whole: (nodes) => this.#directory.whole(this.#others(nodes), clock.now()),
            change: (nodes, gone) => this.#directory.change(this.#others(nodes), gone),
            message: (message) => this.#sessions.take(message),
            awake: () => this.#wake(), // a throttled timer may be late
            knows: (id) => this.nodes.has(id),
        });
        this.#sessions = new Sessions(options, this.#index, {
            emit: (type, detail) => this.#emit(type, detail),
            takesCalls: () => Boolean(this.onconnect || this.#listens || this.accept),
            accept: (peer) => (this.accept ? this.accept(peer, this.nodes.get(peer)) : true),
            follow: () => this.#follow(),
        });
    }

    /**
     * Registers at an index; resolves when the list of nodes is there.
     * @param {string} url of the index
     * @param {object} [options] see signpost.d.ts
     * @returns {Promise<Signpost>}
     */
    static async join(url, options = {}) {
        const { signal } = options;
        webcrypto ??= (await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:crypto"))
            .webcrypto;
        if (signal?.aborted) throw aborted();
        const given = Object.entries(options).filter(([, value]) => value !== undefined);
        const here = new Signpost({
            kind: "webrtc",
            listed: false,
            ttl: LEASE_S,
            meta: {},
            token: random(32),
            clock: CLOCK,
            fetch: (...what) => globalThis.fetch(...what),
            RTCPeerConnection: globalThis.RTCPeerConnection,
            ...Object.fromEntries(given),
            url: addressOf(url),
        });
        await here.#begin();
        return here;
    }

    #begin() {
        const { signal, clock } = this.#options;
        return new Promise((resolve, reject) => {
            const end = (error) => {
                clock.clearTimeout(timer);
                this.removeEventListener("index", look);
                if (error) this.#leave(false).then(() => reject(error));
                else resolve();
            };
            const look = ({ state, error }) => {
                if (state === "ready") end();
                else if (state === "left") end(aborted());
                else if (state === "refused" || state === "replaced") end(error);
            };
            const late = new SignpostError("unreachable", "the index does not answer");
            const timer = clock.setTimeout(() => end(this.#index.error ?? late), JOIN_MS);
            this.addEventListener("index", look);
            this.#listen();
            this.#index.start();
        });
    }

    /** What the page's surroundings say. */
    #listen() {
        const { signal: ended } = this.#ears;
        const on = (target, type, act) => target?.addEventListener?.(type, act, { signal: ended });
        on(this.#options.signal, "abort", () => this.leave());
        on(globalThis, "online", () => this.#index.renew());
        on(globalThis.document, "visibilitychange", () => {
            this.#wake();
            this.#index.nudge();
        });
        on(globalThis, "pagehide", () => this.#leave(false));
    }

    get id() { return this.#index.id; }

    /** Proves who we are; who gives it to another `join` becomes this node, and replaces us. */
    get token() { return this.#options.token; }

    /** How the index fares: connecting, ready, away, refused, replaced or left. */
    get index() { return this.#index.state; }

    /** Who else is there: a Map of id to record. */
    get nodes() { return this.#directory.nodes; }

    /**
     * A connection to a peer: one that is there, one that the peer makes just now, or a new one.
     * @param {string} peer
     * @param {object} [options] label, channelOptions, rtc, setup(pc, call), retries, signal
     */
    async connect(peer, { signal, retries = LIMITS.retries, ...wish } = {}) {
        if (signal?.aborted) throw aborted();
        if (this.index === "replaced") throw this.#index.error;
        if (this.#left) throw new SignpostError("closed", "this page has left the index");
        if (typeof peer !== "string" || !/^[\w.-]{1,64}$/.test(peer) || peer === this.id)
            throw new SignpostError("invalid", `${peer} is not the id of another node`);
        if (!this.#options.RTCPeerConnection)
            throw new SignpostError("invalid", "there is no RTCPeerConnection here: give one");
        return this.#sessions.connect(peer, { ...wish, retries }, signal);
    }

    /**
     * A message of the application's own, by way of the index.
     * @param {string} peer
     * @param {string} type not one of a session's: 1 to 32 of a-z 0-9 . _ -
     * @param {unknown} body any JSON
     * @param {number} [ttl] seconds
     */
    async send(peer, type, body, ttl) {
        if (this.#left) throw new SignpostError("closed", "this page has left the index");
        const { state } = await this.#index.post(peer, type, undefined, body, ttl);
        return state;
    }

    /** Closes every connection and removes the node. Afterwards nothing is left. */
    leave() {
        return this.#leave(true);
    }

    #leave(patient) {
        if (this.#left && patient) return this.#left;
        this.#left = Promise.resolve(); // for who asks from inside
        this.#ears.abort();
        this.#index.hurry = !patient;
        this.#sessions.close();
        this.#options.clock.clearTimeout(this.#timer);
        this.#left = this.#index.leave(patient);
        return this.#left;
    }

    addEventListener(type, ...rest) {
        if (type === "connect") this.#listens = true;
        super.addEventListener(type, ...rest);
    }

    #emit(type, detail) {
        const event = new SignpostEvent(type, detail);
        try {
            this[`on${type}`]?.(event);
        } catch (error) {
            report(error);
        }
        this.dispatchEvent(event);
        if (detail.state === "replaced") this.#sessions.abandon(detail.error);
    }

    #others(nodes) {
        return nodes.filter((node) => node.id !== this.id);
    }

    // --- time: deadlines are compared with the clock on waking, never counted --------------------

    #wake() {
        const now = this.#options.clock.now();
        this.#directory.tick(now);
        this.#sessions.tick(now);
        this.#sessions.follow();
    }

    #follow() {
        const { clock } = this.#options;
        const due = Math.min(this.#sessions.due, this.#directory.due);
        clock.clearTimeout(this.#timer);
        if (due === Infinity || this.#left) return;
        this.#timer = clock.setTimeout(() => this.#wake(), Math.max(0, due - clock.now()));
    }
}
