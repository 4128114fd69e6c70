-- Two more kinds of pause: `hold` keeps new work out while what runs goes on; `reserve` leaves only urgent work in.
CREATE TABLE pauses_2 (
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL CHECK (scope IN ('loop', 'credential')
                             OR scope GLOB 'repo:?*' OR scope GLOB 'kind:?*' OR scope GLOB 'item:?*'),
  kind TEXT NOT NULL CHECK (kind IN ('file', 'probe', 'condition', 'operator', 'hold', 'reserve')),
  reason TEXT NOT NULL,
  source TEXT NOT NULL,
  began_at INTEGER NOT NULL,
  until INTEGER,
  ended_at INTEGER,
  ended_by TEXT
) STRICT;
INSERT INTO pauses_2 SELECT id, scope, kind, reason, source, began_at, until, ended_at, ended_by FROM pauses;
DROP TABLE pauses;
ALTER TABLE pauses_2 RENAME TO pauses;
CREATE UNIQUE INDEX pauses_open ON pauses (scope, source) WHERE ended_at IS NULL;
CREATE INDEX pauses_closed ON pauses (scope, kind, ended_at);

DROP INDEX items_queue;
CREATE INDEX items_queue ON items (state, fresh, rank_at, seq, lane, repo, kind, assigned, priority);
