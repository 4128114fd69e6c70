-- What must not run at the same time, and what becomes of an item whose dependency fails.
ALTER TABLE items ADD COLUMN on_failure TEXT NOT NULL DEFAULT 'hold' CHECK (on_failure IN ('hold', 'skip', 'run'));
-- Why a lease may have to look closer: 1 it takes resources, 2 it has a scope, 3 both; 0, the usual, costs it nothing.
ALTER TABLE items ADD COLUMN exclusive INTEGER NOT NULL DEFAULT 0 CHECK (exclusive BETWEEN 0 AND 3);
UPDATE items SET exclusive = (resources <> '[]') + 2 * (scope <> '[]') WHERE resources <> '[]' OR scope <> '[]';

CREATE TRIGGER items_exclusive_new BEFORE INSERT ON items
WHEN NEW.exclusive <> (NEW.resources <> '[]') + 2 * (NEW.scope <> '[]')
BEGIN
  SELECT raise(ABORT, 'exclusive says whether there are resources and a scope');
END;
CREATE TRIGGER items_exclusive BEFORE UPDATE OF exclusive, resources, scope ON items
WHEN NEW.exclusive <> (NEW.resources <> '[]') + 2 * (NEW.scope <> '[]')
BEGIN
  SELECT raise(ABORT, 'exclusive says whether there are resources and a scope');
END;

DROP INDEX items_queue;
CREATE INDEX items_queue ON items (state, fresh, rank_at, seq, lane, repo, kind, assigned, priority, exclusive);
CREATE INDEX items_scoped ON items (seq) WHERE exclusive >= 2 AND state IN ('blocked', 'delayed', 'ready', 'leased', 'waiting');

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
