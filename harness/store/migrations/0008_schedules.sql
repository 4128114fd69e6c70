-- How far each schedule of config.yaml has been looked at. `rule` is its trigger as text: another one begins anew from
-- `looked_at` and from entry `seq` of the journal. A slot has one row for good, whatever becomes of clocks and loops.
CREATE TABLE schedules (
  name TEXT PRIMARY KEY,
  rule TEXT NOT NULL,
  looked_at INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  fired_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE firings (
  id INTEGER PRIMARY KEY,
  schedule TEXT NOT NULL,
  slot TEXT NOT NULL,
  at INTEGER NOT NULL,
  missed INTEGER NOT NULL DEFAULT 0 CHECK (missed >= 0),
  state TEXT NOT NULL CHECK (state IN ('added', 'wanted', 'running', 'done', 'failed', 'dropped', 'folded')),
  item TEXT REFERENCES items (id),
  reason TEXT NOT NULL DEFAULT '',
  log TEXT,
  tries INTEGER NOT NULL DEFAULT 0,
  ended_at INTEGER,
  UNIQUE (schedule, slot),
  CHECK (state <> 'added' OR item IS NOT NULL),
  CHECK ((state IN ('wanted', 'running')) = (ended_at IS NULL))
) STRICT;
CREATE INDEX firings_newest ON firings (schedule, id);
CREATE INDEX firings_ended ON firings (schedule, id) WHERE state IN ('done', 'failed', 'dropped');
-- One command of a schedule at a time: what comes while it is open is folded into it.
CREATE UNIQUE INDEX firings_open ON firings (schedule) WHERE state IN ('wanted', 'running');
