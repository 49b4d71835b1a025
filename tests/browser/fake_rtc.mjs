// A WebRTC of this process alone: two RTCPeerConnections that have each other's description and a
// candidate of each other are connected. Their SDP is a number by which they find each other, and
// how many descriptions that end has made.

/** A class of its own for each test, so that what is left over can be counted. */
export function makeFakeRtc() {
    const made = [];

    class Channel extends EventTarget {
        readyState = "connecting";
        other = null;

        constructor(label) {
            super();
            this.label = label;
        }

        send(data) {
            const { other } = this;
            if (this.readyState !== "open") throw new Error("the channel is not open");
            const message = Object.assign(new Event("message"), { data });
            queueMicrotask(() => other.dispatchEvent(message));
        }

        open() {
            this.readyState = "open";
            this.dispatchEvent(new Event("open"));
        }

        close() {
            if (this.readyState === "closed") return;
            this.readyState = "closed";
            this.dispatchEvent(new Event("close"));
            this.other?.close();
        }
    }

    return class FakePeerConnection extends EventTarget {
        static made = made;
        /** Nothing gets through while it is true. */
        static blocked = false;

        static get open() {
            return made.filter((pc) => pc.connectionState !== "closed").length;
        }

        connectionState = "new";
        localDescription = null;
        channels = [];
        remote = null;
        heard = []; // candidates of the other end
        ears = 0;
        descriptions = 0;

        constructor(config) {
            super();
            this.config = config;
            this.number = made.push(this) - 1;
        }

        addEventListener(...what) {
            this.ears++;
            super.addEventListener(...what);
        }

        removeEventListener(...what) {
            this.ears--;
            super.removeEventListener(...what);
        }

        setConfiguration(config) {
            this.config = config;
        }

        createDataChannel(label) {
            const channel = new Channel(label);
            this.channels.push(channel);
            return channel;
        }

        async createOffer(options) {
            if (options?.iceRestart) this.heard = [];
            return { type: "offer", sdp: `${this.number} ${++this.descriptions}` };
        }

        async createAnswer() {
            return { type: "answer", sdp: `${this.number} ${++this.descriptions}` };
        }

        async setLocalDescription(description) {
            this.localDescription = description;
            const tell = (candidate) =>
                this.dispatchEvent(Object.assign(new Event("icecandidate"), { candidate }));
            queueMicrotask(() => {
                const init = { candidate: `candidate of ${this.number}`, sdpMid: "0" };
                tell({ ...init, toJSON: () => init });
                tell(null);
            });
        }

        async setRemoteDescription({ type, sdp }) {
            this.remote = made[parseInt(sdp, 10)];
            if (!this.remote) throw new Error("this is no SDP");
            if (type === "offer") this.heard = [];
        }

        async addIceCandidate(candidate) {
            if (candidate) this.heard.push(candidate.candidate);
            this.tryToConnect();
        }

        tryToConnect() {
            const { remote } = this;
            const both = remote?.remote === this && this.heard.length && remote.heard.length;
            if (!both || FakePeerConnection.blocked) return;
            for (const pc of [this, remote]) pc.become("connected");
            for (const [from, to] of [[this, remote], [remote, this]])
                for (const channel of from.channels) from.join(to, channel);
        }

        join(to, channel) {
            if (channel.other || channel.readyState !== "connecting") return;
            channel.other = new Channel(channel.label);
            channel.other.other = channel;
            channel.other.open();
            to.dispatchEvent(
                Object.assign(new Event("datachannel"), { channel: channel.other }));
            channel.open();
        }

        become(state) {
            if (this.connectionState === state || this.connectionState === "closed") return;
            this.connectionState = state;
            this.dispatchEvent(new Event("connectionstatechange"));
        }

        close() {
            this.connectionState = "closed";
            for (const channel of this.channels) channel.close();
        }
    };
}
