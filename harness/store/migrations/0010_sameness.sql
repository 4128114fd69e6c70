-- When an item was last found again, and the done item whose like it is.
ALTER TABLE items ADD COLUMN last_seen_at INTEGER;
ALTER TABLE items ADD COLUMN regression_of TEXT REFERENCES items (id);
CREATE INDEX items_done ON items (dedupe_key, updated_at) WHERE dedupe_key IS NOT NULL AND state = 'done';
