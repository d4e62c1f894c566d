-- What each sink takes and owes: until now only the configuration knew, and a sink that left it owed nothing at once.
CREATE TABLE sinks (
    owner INTEGER PRIMARY KEY,
    -- Which types it takes and where it began, as JSON.
    selection TEXT NOT NULL,
    -- Since when the configuration does not name it.
    left_at INTEGER
) STRICT;

-- Pull sinks began with the first event of the log. Which types one takes, the next start tells.
INSERT INTO sinks (owner, selection)
SELECT id, '{"patterns":"*","after":0,"positions":{},"ttl":null}' FROM owners
WHERE kind = 'sink' AND connector = 'http_pull' AND forgotten = 0;

-- What left the debts of a sink without its consumer's yes, by event type.
CREATE TABLE lapses (
    sink INTEGER NOT NULL,
    type INTEGER NOT NULL,
    -- Events that outlived their time to live, and the seq up to which they are counted.
    expired INTEGER NOT NULL DEFAULT 0,
    expired_to INTEGER NOT NULL DEFAULT 0,
    -- Events that retention removed although they were owed, and of these the ones that nobody was told of yet.
    dropped INTEGER NOT NULL DEFAULT 0,
    untold INTEGER NOT NULL DEFAULT 0,
    first_seq INTEGER,
    first_at INTEGER,
    last_seq INTEGER,
    last_at INTEGER,
    PRIMARY KEY (sink, type)
) STRICT, WITHOUT ROWID;
