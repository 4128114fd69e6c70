-- What follows an integration is written with its intent, and becomes rows in the transaction that says it is applied:
-- no crash forgets a step.
ALTER TABLE integrations ADD COLUMN followed_by TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(followed_by));
CREATE TABLE followups (
  id INTEGER PRIMARY KEY,
  integration INTEGER NOT NULL REFERENCES integrations (id),
  step TEXT NOT NULL CHECK (step IN ('review', 'pull', 'build')),
  target TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'done', 'failed', 'dropped')),
  reason TEXT NOT NULL DEFAULT '',
  made TEXT,
  began_at INTEGER NOT NULL,
  ended_at INTEGER,
  UNIQUE (integration, step, target),
  CHECK ((state = 'wanted') = (ended_at IS NULL))
) STRICT;
CREATE INDEX followups_wanted ON followups (id) WHERE state = 'wanted';
CREATE INDEX followups_builds ON followups (id) WHERE step = 'build';
