-- How many events of each type the log holds, in blocks: each row counts those after the previous row of its type, up
-- to its own `last`. The events after the last row of a type are not counted here.
CREATE TABLE event_counts (
    type INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (type, last)
) STRICT, WITHOUT ROWID;

INSERT INTO event_counts (type, last, count)
SELECT type, max(seq), count(*)
FROM (SELECT type, seq, (row_number() OVER (PARTITION BY type ORDER BY seq) - 1) / 1024 AS block FROM events)
GROUP BY type, block
HAVING count(*) = 1024;
