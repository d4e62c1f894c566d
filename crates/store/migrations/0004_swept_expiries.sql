-- The latest expiry of the entries that were removed because they had expired, in microseconds: who was away longer
-- cannot be told of each. What was removed before this layout is not known.
ALTER TABLE spaces ADD COLUMN swept_until INTEGER;
UPDATE spaces SET swept_until = unixepoch() * 1000000;
