-- Events that are collected and not in the log yet. An event of another type promotes the pending one of its entity first,
-- so that there is at most one of each source and entity.
CREATE TABLE pending (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    -- By the time that judges ages: when its window began, and when it ends.
    begun_at INTEGER NOT NULL,
    flush_at INTEGER NOT NULL,
    -- By the wall clock, as people see it.
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    strategy INTEGER NOT NULL,
    window_micros INTEGER NOT NULL,
    aggregation INTEGER NOT NULL,
    -- Of a list: the bytes of its items with their commas. The items have rows of their own, and `data` is empty.
    bytes INTEGER NOT NULL,
    type TEXT NOT NULL,
    entity TEXT NOT NULL,
    -- The id of the first event.
    first_id TEXT NOT NULL,
    meta TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX pending_by_entity ON pending (source, entity);
CREATE INDEX pending_by_flush ON pending (flush_at);
-- For those that began before the clock was set back.
CREATE INDEX pending_by_begin ON pending (begun_at);

CREATE TABLE pending_items (
    pending INTEGER NOT NULL,
    item INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (pending, item)
) STRICT, WITHOUT ROWID;
