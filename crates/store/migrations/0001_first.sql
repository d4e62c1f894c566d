-- The first layout. Times are microseconds since 1970 in UTC; JSON is text that was checked before it came here.

-- A row for each source and sink, with the head of everything that a turn of it changes.
CREATE TABLE owners (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    connector TEXT NOT NULL,
    -- The space that holds its entries.
    space INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    -- The last turn, so that a repeated commit is told from a stale one.
    turn_id BLOB,
    -- The newest row of its history, and the bytes of all its rows.
    history INTEGER,
    history_bytes INTEGER NOT NULL DEFAULT 0,
    -- Run facts: no state.
    failures INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER,
    paused INTEGER NOT NULL DEFAULT 0,
    announced TEXT,
    seen_at INTEGER,
    claim_holder TEXT,
    claim_until INTEGER,
    -- Last, because it may be long.
    cursor TEXT,
    UNIQUE (kind, name)
) STRICT;

-- Numbers of spaces are never used again.
CREATE TABLE spaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL
) STRICT;

CREATE TABLE entries (
    space INTEGER NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    secret INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE event_types (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The writer numbers the events itself: one page less for each transaction than AUTOINCREMENT. That no number
-- comes back when the last events go is the business of meta.pruned.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    source INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    occurred_at INTEGER,
    event_id TEXT NOT NULL,
    entity TEXT,
    meta TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;

-- Selections and counts read nothing but this index.
CREATE INDEX events_by_type ON events (type, seq, created_at, source);

-- Which events were ever reported; outlives the events.
CREATE TABLE identities (
    digest BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- A row for each turn that changed an owner's state, in the order of commit. A layout by owner would touch a page
-- for each owner; each row names its owner's previous one instead.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    version INTEGER NOT NULL,
    previous INTEGER,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    author TEXT,
    -- What the turn replaced; null when that was too much.
    changes BLOB
) STRICT;

-- What a sink owes out of order.
CREATE TABLE deliveries (
    sink INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    entity TEXT,
    error TEXT,
    PRIMARY KEY (sink, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_by_due ON deliveries (sink, state, due);
CREATE INDEX deliveries_by_entity ON deliveries (sink, entity) WHERE entity IS NOT NULL;
CREATE INDEX deliveries_by_seq ON deliveries (seq);

-- Single numbers: `pruned`, `clock_stepped_back_at`, `clock`.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
