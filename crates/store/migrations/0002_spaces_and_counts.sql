-- Counts for owners and spaces; history rows that name the space which a turn replaced, or the version which it took
-- back.

-- Rebuilt, because new columns would come after the cursor, which may be long.
CREATE TABLE owners_2 (
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
    -- What its space holds: all rows, also those that have expired, and the bytes of their keys and values.
    entries INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    -- Only the number is still needed, for what it once reported.
    forgotten INTEGER NOT NULL DEFAULT 0,
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

INSERT INTO owners_2 (
    id, kind, name, connector, space, version, turn_id, history, history_bytes, entries, bytes, failures, next_at,
    paused, announced, seen_at, claim_holder, claim_until, cursor
)
SELECT
    id, kind, name, connector, space, version, turn_id, history, history_bytes,
    (SELECT count(*) FROM entries WHERE entries.space = owners.space),
    (SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM entries WHERE entries.space = owners.space),
    failures, next_at, paused, announced, seen_at, claim_holder, claim_until, cursor
FROM owners;

DROP TABLE owners;
ALTER TABLE owners_2 RENAME TO owners;

-- What a space holds while it is not in place; else its owner's row says it.
ALTER TABLE spaces ADD COLUMN entries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spaces ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;

-- What expires is looked for in one space at a time.
DROP INDEX entries_by_expiry;
CREATE INDEX entries_by_expiry ON entries (space, expires_at) WHERE expires_at IS NOT NULL;

-- Secrets stay behind when a space is replaced.
CREATE INDEX entries_secret ON entries (space) WHERE secret = 1;

-- Rebuilt, because the changes may be long.
CREATE TABLE history_2 (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    version INTEGER NOT NULL,
    previous INTEGER,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    author TEXT,
    -- The space that the turn replaced by another.
    replaced INTEGER,
    -- The version whose change the turn took back.
    undoes INTEGER,
    -- What the turn replaced; null when that was too much.
    changes BLOB
) STRICT;

INSERT INTO history_2 (id, owner, version, previous, at, bytes, author, changes)
SELECT id, owner, version, previous, at, bytes, author, changes FROM history ORDER BY id;

DROP TABLE history;
ALTER TABLE history_2 RENAME TO history;

CREATE INDEX history_by_replaced ON history (replaced) WHERE replaced IS NOT NULL;
