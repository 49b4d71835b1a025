-- The whole database of an index, at version 3. signpostd is built with this text and makes a new
-- file with it; an older file is brought here step by step (server/store/schema.c).
--
-- Numbers without a sign that use all 64 bits (epoch, birth) are kept as the signed integer of the
-- same bits. Addresses are text, '' for none. Names that end in _ms are milliseconds since 1970.
-- In each table what is read at start comes first and what may be large comes last, so that
-- reading a hundred thousand rows at start does not touch the pages that large values spill to.

PRAGMA application_id = 1399287408; -- "Sgnp", so that no other program's file is taken for ours
PRAGMA user_version = 3;

-- What there is once in an index.
CREATE TABLE index_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL, -- random; another one wherever the history may have been cut
    dropped_networks INTEGER NOT NULL CHECK (dropped_networks >= 0),
    stamp TEXT NOT NULL, -- of the last open or close; the lock file beside holds the same one
    program TEXT NOT NULL -- the version of the signpostd that had it open last
) STRICT;

INSERT INTO index_state (one, epoch, dropped_networks, stamp, program) VALUES (1, 0, 0, '', '');

-- Namespaces: nodes see only the nodes of their own.
CREATE TABLE networks (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    birth INTEGER NOT NULL, -- what its epoch is derived from, with that of the index
    seq INTEGER NOT NULL CHECK (seq >= 0), -- of its last visible change
    horizon INTEGER NOT NULL CHECK (horizon >= 0) -- changes up to here may be forgotten
) STRICT;

-- The nodes that are registered now.
CREATE TABLE nodes (
    number INTEGER PRIMARY KEY CHECK (number > 0), -- of this one registration
    network INTEGER NOT NULL REFERENCES networks (number),
    id TEXT NOT NULL CHECK (id <> ''),
    token_hash BLOB NOT NULL CHECK (length(token_hash) = 32), -- SHA-256 of the node token
    key_hash BLOB NOT NULL CHECK (length(key_hash) = 32), -- of the join key; zeros: none
    ttl_s INTEGER NOT NULL CHECK (ttl_s > 0),
    listed INTEGER NOT NULL CHECK (listed IN (0, 1)),
    seq INTEGER NOT NULL CHECK (seq >= 0), -- the network's, at this node's last visible change
    registered_wall_ms INTEGER NOT NULL,
    observed_ipv4 TEXT NOT NULL, -- where its requests came from
    observed_ipv6 TEXT NOT NULL,
    announced TEXT NOT NULL, -- the endpoints as the node sent them, a line each
    endpoints TEXT NOT NULL, -- the endpoints as others are told, a line each
    meta TEXT NOT NULL, -- JSON objects
    reach TEXT NOT NULL,
    UNIQUE (network, id),
    CHECK (listed = 1 OR seq = 0)
) STRICT;

CREATE UNIQUE INDEX nodes_by_seq ON nodes (network, seq) WHERE listed = 1;

-- Who has left a list, so that a reader who asks for changes hears of it.
CREATE TABLE tombstones (
    network INTEGER NOT NULL REFERENCES networks (number),
    seq INTEGER NOT NULL CHECK (seq > 0), -- the network's, when the node left
    id TEXT NOT NULL CHECK (id <> ''),
    gone_ms INTEGER NOT NULL,
    PRIMARY KEY (network, seq),
    UNIQUE (network, id)
) STRICT, WITHOUT ROWID;

-- The counters of each mailbox, from when a message first left it; those still in it tell the rest.
CREATE TABLE boxes (
    node INTEGER PRIMARY KEY REFERENCES nodes (number),
    seq INTEGER NOT NULL CHECK (seq >= 0), -- of the newest message
    acked INTEGER NOT NULL CHECK (acked >= 0) -- everything up to here was acknowledged
) STRICT;

-- Messages, and the memory of those that a retry may still ask for. They outlive the node that
-- they were for and its network, so neither column refers to a table. The index has in memory
-- which are in which box, so that each is read by its number and the newest lie together.
CREATE TABLE messages (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    box INTEGER NOT NULL, -- the number of the recipient's node
    network INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 0), -- in its box
    recipient TEXT NOT NULL,
    sender TEXT NOT NULL, -- '': the index itself
    sender_address TEXT NOT NULL,
    id TEXT NOT NULL, -- the sender's own, which makes a retry harmless
    session TEXT NOT NULL, -- '': none
    type TEXT NOT NULL,
    content_hash BLOB NOT NULL CHECK (length(content_hash) = 32), -- tells a retry from a reuse
    sent_wall_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL, -- when it is no longer given out
    forget_ms INTEGER NOT NULL, -- when the row goes
    handed INTEGER NOT NULL CHECK (handed IN (0, 1)), -- whether a reader was waiting for it
    mark INTEGER NOT NULL CHECK (mark BETWEEN 0 AND 2), -- 0 queued, 1 given out, 2 spent
    body_size INTEGER NOT NULL CHECK (body_size >= 0), -- in bytes, also once the body is gone
    body BLOB, -- JSON text, byte for byte as sent; NULL once spent
    CHECK ((mark = 2) = (body IS NULL))
) STRICT;
