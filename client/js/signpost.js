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

    get state() {
        return this.#state;
    }

    /** Of the attempt; "": none. */
    get session() {
        return this.#id;
    }

    get caller() {
        return this.#caller;
    }

    /** When `tick` is to be called; Infinity: no timer is left. */
    get due() {
        return Math.min(...this.#due);
    }

    /** Nothing is under way, and nothing will come of itself. */
    get over() {
        return ["idle", "failed"].includes(this.#state) && this.due === Infinity;
    }

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
        if (this.#local.list.length || this.#local.end) this.#due[BATCH] = now + LIMITS.batch;
        if (offer) this.#due[STAGE] = now + LIMITS.answer;
        if (this.#enter(offer ? "waiting-answer" : "answer-sent"))
            this.#send(offer ? "offer" : "answer", description);
    }

    /** One of ours; without an argument: all are told. */
    candidate(candidate, now) {
        if (!this.#live) return;
        if (candidate === undefined) this.#local.end = true;
        else append(this.#local.list, [candidate]);
        if (this.#described && this.#due[BATCH] === Infinity)
            this.#due[BATCH] = now + LIMITS.batch;
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
            else if (timer === ATTEMPT)
                this.#abandon("timeout", `no connection to ${this.#peer} within 30 s`, now);
            else if (timer === BATCH) this.#sendBatch();
            else if (this.#state !== "connected")
                this.#giveUp("timeout", "nobody finished it", now); // a wish that came late goes on
        }
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
        this.#send("candidates", list, end);
    }

    // --- attempts --------------------------------------------------------------------------------

    get #inAttempt() {
        return !OUTSIDE.includes(this.#state);
    }

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
        const reason = "no path between the two networks: no pair of addresses worked";
        if (!this.#restarted && now < this.#due[ATTEMPT]) this.#restart(now);
        else this.#abandon("no-path", reason, now);
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
