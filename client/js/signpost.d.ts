// The types of signpost.js; docs/browser.md says what they mean.

/** Stable words; the error's message is a sentence for people. */
export type ErrorCode =
    | "aborted" // your signal called it off
    | "busy" // the peer or the index has no room now
    | "closed" // the connection was closed, or this page has left
    | "invalid" // what you gave cannot be right
    | "no-path" // no pair of addresses worked
    | "offline" // no such node
    | "protocol" // something answered that is no index, or an SDP that the browser cannot read
    | "refused" // the peer does not want, or the index does not let you in
    | "replaced" // another page or process is this node now
    | "setup" // your own setup failed; `cause` has the error
    | "taken" // another node has this id
    | "timeout" // the peer did not answer in time
    | "unreachable"; // the index does not answer

export class SignpostError extends Error {
    readonly name: "SignpostError";
    readonly code: ErrorCode;
    readonly cause?: unknown;
}

export type State =
    | "idle" | "requesting" | "waiting-ready" | "creating-offer" | "waiting-answer" | "connecting"
    | "connected" | "failed" | "retrying" | "preparing" | "ready" | "offer-received"
    | "answer-sent" | "cleanup";

export type IndexState = "connecting" | "ready" | "away" | "refused" | "replaced" | "left";

/** A node as the index lists it. */
export interface Node {
    readonly id: string;
    readonly endpoints: string[];
    readonly observed: string[];
    readonly meta: Record<string, unknown>;
    readonly reach: Record<string, unknown>;
    readonly registered_at: string;
    readonly age: number;
    readonly expires_in: number;
}

/** A message of an application's own, as the mailbox has it. */
export interface Message {
    readonly id: string;
    readonly from: string;
    readonly from_address: string;
    readonly session: string | null;
    readonly type: string;
    readonly body: unknown;
    readonly sent_at: string;
    readonly expires_in: number;
}

/** A connection that is there. */
export interface Connected {
    readonly peer: string;
    readonly channel: RTCDataChannel; // open
    readonly connection: RTCPeerConnection;
    readonly closed: Promise<void>; // when it is over, for whatever reason
    close(): void;
}

/** Called with each peer connection before its offer or answer is made. */
export type Setup = (
    connection: RTCPeerConnection, call: { peer: string; caller: boolean }) => unknown;

export interface ConnectOptions {
    label?: string; // of the channel; "signpost"
    channelOptions?: RTCDataChannelInit; // but for `negotiated`
    rtc?: RTCConfiguration; // its members go before those of join and of the index
    setup?: Setup;
    retries?: number; // 0 to 3; 3
    signal?: AbortSignal;
}

export type Answer = boolean | "busy";

export interface JoinOptions {
    id?: string; // the index makes one where none is given
    network?: string;
    key?: string; // a join key
    meta?: Record<string, unknown>;
    listed?: boolean; // false: in no list, but can be called by id
    kind?: string; // of sessions; "webrtc"
    accept?: (peer: string, node: Node | undefined) => Answer | Promise<Answer>;
    setup?: Setup; // of calls that peers make, and of one's own that have none
    rtc?: RTCConfiguration; // its members go before those of the index
    signal?: AbortSignal; // when it is aborted, the page leaves
    token?: string; // 43 base64url characters; made where none is given
    ttl?: number; // of the lease, in seconds; 120
    RTCPeerConnection?: new (configuration?: RTCConfiguration) => RTCPeerConnection;
    fetch?: typeof globalThis.fetch;
    clock?: Clock; // for tests
}

export interface Clock {
    now(): number; // ms
    setTimeout(callback: () => void, ms: number): unknown;
    clearTimeout(timer: unknown): void;
    random(): number; // 0 to 1
}

export interface NodeEvent extends Event {
    readonly peer: string;
    readonly node: Node;
}

export interface StateEvent extends Event {
    readonly peer: string;
    readonly state: State;
    readonly reason: string; // "" but for failed, and for cleanup where there is one
    readonly code: ErrorCode | "";
    readonly last: boolean; // failed for good
}

export interface IndexEvent extends Event {
    readonly state: IndexState;
    readonly error: SignpostError | null;
}

export interface MessageEvent extends Event {
    readonly peer: string;
    readonly message: Message;
}

export interface SignpostEvents {
    connect: Connected & Event;
    nodeup: NodeEvent;
    nodechange: NodeEvent;
    nodedown: NodeEvent;
    state: StateEvent;
    index: IndexEvent;
    message: MessageEvent;
}

export class Signpost extends EventTarget {
    private constructor();
    /** Resolves when the node is registered and the list of nodes is there. */
    static join(url: string, options?: JoinOptions): Promise<Signpost>;

    readonly id: string;
    readonly token: string;
    readonly index: IndexState;
    readonly nodes: ReadonlyMap<string, Node>;
    accept: JoinOptions["accept"] | null;
    onconnect: ((event: SignpostEvents["connect"]) => void) | null;
    onnodeup: ((event: NodeEvent) => void) | null;
    onnodechange: ((event: NodeEvent) => void) | null;
    onnodedown: ((event: NodeEvent) => void) | null;
    onstate: ((event: StateEvent) => void) | null;
    onindex: ((event: IndexEvent) => void) | null;
    onmessage: ((event: MessageEvent) => void) | null;

    connect(peer: string, options?: ConnectOptions): Promise<Connected>;
    /** Says whether a reader was waiting for it. */
    send(peer: string, type: string, body: unknown, ttl?: number): Promise<"handed" | "queued">;
    leave(): Promise<void>;

    addEventListener<T extends keyof SignpostEvents>(
        type: T, listener: (event: SignpostEvents[T]) => void,
        options?: boolean | AddEventListenerOptions): void;
    addEventListener(
        type: string, listener: EventListenerOrEventListenerObject | null,
        options?: boolean | AddEventListenerOptions): void;
}

export const LIMITS: Readonly<Record<
    "ready" | "answer" | "ice" | "attempt" | "retry" | "grace" | "restart" | "cleanup" | "batch"
    | "retries" | "candidates", number>>;

export interface SessionMessage {
    type: "knock" | "ready" | "offer" | "answer" | "candidates" | "bye";
    session: string;
    gen?: number;
    payload?: unknown; // a description, a list of candidates, or a reason
    end?: boolean;
}

export interface MachineActions {
    state(state: State, reason: string, last: boolean, code: ErrorCode | ""): void;
    send(message: SessionMessage): void;
    prepare(): void;
    makeOffer(gen: number): void;
    makeAnswer(gen: number, offer: string): void;
    takeAnswer(gen: number, answer: string): void;
    takeCandidates(candidates: unknown[], end: boolean): void;
    drop(): void;
    random(most: number): number;
    newId(): string;
}

/** What an end does about one peer, without a network or a clock: for tests. */
export class Machine {
    constructor(own: string, peer: string, actions: MachineActions);
    retries: number;
    readonly state: State;
    readonly session: string;
    readonly caller: boolean;
    readonly due: number;
    readonly over: boolean;
    connect(now: number): void;
    accept(): void;
    refuse(reason: "refused" | "busy", now: number): void;
    describe(description: string, now: number): void;
    candidate(candidate: unknown, now: number): void;
    link(link: "connected" | "disconnected" | "failed", now: number): void;
    fail(code: ErrorCode, reason: string, now: number): void;
    close(): void;
    receive(message: SessionMessage, now: number): void;
    sent(type: string, session: string, now: number): void;
    lost(
        type: string, session: string, code: ErrorCode, reason: string, retryAfter: number,
        now: number): void;
    tick(now: number): void;
}
