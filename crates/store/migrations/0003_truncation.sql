-- Who has missed what: marks of removal for each event type, and the gaps that restores leave in the numbers.

-- The last number and the latest time of what retention removed. Until now there was one mark for all types.
ALTER TABLE event_types ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event_types ADD COLUMN pruned_at INTEGER NOT NULL DEFAULT 0;

UPDATE event_types
SET pruned = (SELECT value FROM meta WHERE name = 'pruned'), pruned_at = unixepoch() * 1000000
WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'pruned');

-- No number up to this one is given again, whether or not an event has it.
UPDATE meta SET name = 'head' WHERE name = 'pruned';

-- After a restore the numbers go on after `last`: those after `before` may have been given to other events.
CREATE TABLE gaps (
    before INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
