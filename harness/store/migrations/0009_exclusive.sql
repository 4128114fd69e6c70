-- What must not run at the same time, and what becomes of an item whose dependency fails.
ALTER TABLE items ADD COLUMN on_failure TEXT NOT NULL DEFAULT 'hold' CHECK (on_failure IN ('hold', 'skip', 'run'));
-- What a lease has to look at closer: repository, resources and scope of an item that has any; NULL, the usual, costs it
-- nothing. Here beside the columns that it is made of, because an index on an expression does not cover a query. Held by
-- a check, which a new column has to meet in every row; a trigger costs each insert a third.
CREATE TABLE kept AS SELECT seq, resources, scope FROM items WHERE resources <> '[]' OR scope <> '[]';
UPDATE items SET resources = '[]', scope = '[]' WHERE seq IN (SELECT seq FROM kept);
ALTER TABLE items ADD COLUMN exclusive TEXT CHECK (
  exclusive IS CASE WHEN resources <> '[]' OR scope <> '[]' THEN json_array(repo, json(resources), json(scope)) END);
UPDATE items SET
  resources = kept.resources, scope = kept.scope,
  exclusive = json_array(items.repo, json(kept.resources), json(kept.scope))
FROM kept WHERE kept.seq = items.seq;
DROP TABLE kept;

DROP INDEX items_queue;
CREATE INDEX items_queue ON items (state, fresh, rank_at, seq, lane, repo, kind, assigned, priority, exclusive);
CREATE INDEX items_scoped ON items (seq) WHERE scope <> '[]' AND state IN ('blocked', 'delayed', 'ready', 'leased', 'waiting');

-- Who has a resource now: its name is the key, so no two leases have it at a time, whoever writes them.
CREATE TABLE resources (
  name TEXT PRIMARY KEY CHECK (name <> ''),
  item TEXT NOT NULL REFERENCES items (id),
  fence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO resources (name, item, fence)
SELECT wanted.value, items.id, items.fence FROM items, json_each(items.resources) AS wanted
WHERE items.state = 'leased' ORDER BY items.seq;

-- Every way out of a lease, also one that is not ours.
CREATE TRIGGER items_free AFTER UPDATE OF state ON items
WHEN OLD.state = 'leased' AND NEW.state <> 'leased'
BEGIN
  DELETE FROM resources WHERE item = OLD.id;
END;
