-- Why a delivery is owed, and since when it is tried: a dead letter that a person retries and an event of a replay go out
-- of order.

-- When its first try had ended, in microseconds.
ALTER TABLE deliveries ADD COLUMN tried_at INTEGER;
-- Null when it was its turn in the log, 0 for a dead letter that is retried, else the number of the replay.
ALTER TABLE deliveries ADD COLUMN origin INTEGER;
