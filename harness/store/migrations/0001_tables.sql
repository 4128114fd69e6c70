-- Times are integer milliseconds UTC. Nothing here is ever deleted; finished rows are the history.
-- No AUTOINCREMENT: without deletes a plain rowid already grows, and each one would cost a page a transaction.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Filled from harness.model.work.TRANSITIONS by the migration.
CREATE TABLE transitions (
  old TEXT NOT NULL, new TEXT NOT NULL, PRIMARY KEY (old, new)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),
  title TEXT NOT NULL,
  kind TEXT NOT NULL,
  description TEXT NOT NULL,
  repo TEXT,
  priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 99),
  lane TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('blocked', 'delayed', 'ready', 'leased', 'waiting', 'done', 'parked', 'cancelled')),
  reason TEXT NOT NULL,
  not_before INTEGER,
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
  rescues INTEGER NOT NULL CHECK (rescues >= 0),
  deferrals INTEGER NOT NULL CHECK (deferrals >= 0),
  fence INTEGER NOT NULL CHECK (fence >= 0),
  owner TEXT,
  leased_at INTEGER,
  agent TEXT,
  model TEXT,
  scope TEXT NOT NULL CHECK (json_valid(scope)),
  branch TEXT,
  assigned TEXT,
  resources TEXT NOT NULL CHECK (json_valid(resources)),
  timeout_seconds REAL CHECK (timeout_seconds > 0),
  max_cost_usd REAL CHECK (max_cost_usd >= 0),
  labels TEXT NOT NULL CHECK (json_valid(labels)),
  extra TEXT NOT NULL CHECK (json_valid(extra)),
  source TEXT NOT NULL,
  dedupe_key TEXT,
  sightings INTEGER NOT NULL DEFAULT 1,
  continuation TEXT CHECK (continuation IS NULL OR json_valid(continuation)),
  outcome TEXT,
  rank_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- A plain column: an index on a generated one does not cover a query (SQLite 3.40).
  fresh INTEGER NOT NULL,
  CHECK (fresh = (continuation IS NULL)),
  CHECK ((state = 'leased') = (owner IS NOT NULL)),
  CHECK ((state = 'leased') = (leased_at IS NOT NULL)),
  CHECK (state <> 'delayed' OR not_before IS NOT NULL)
) STRICT;

-- The queue itself: lease order within a state, with every column a lease may have to skip by.
CREATE INDEX items_queue ON items (state, fresh, rank_at, seq, lane, repo, kind, assigned);
CREATE INDEX items_due ON items (not_before) WHERE state = 'delayed';
CREATE INDEX items_finished ON items (updated_at, seq) WHERE state IN ('done', 'parked', 'cancelled');
CREATE UNIQUE INDEX items_dedupe ON items (dedupe_key)
  WHERE dedupe_key IS NOT NULL AND state NOT IN ('done', 'cancelled');

CREATE TRIGGER items_move BEFORE UPDATE OF state ON items
WHEN NEW.state <> OLD.state
  AND NOT EXISTS (SELECT 1 FROM transitions WHERE old = OLD.state AND new = NEW.state)
BEGIN
  SELECT raise(ABORT, 'illegal move');
END;

CREATE TRIGGER items_fence BEFORE UPDATE OF fence ON items
WHEN NEW.fence < OLD.fence
BEGIN
  SELECT raise(ABORT, 'a fence never falls');
END;

CREATE TABLE deps (
  item TEXT NOT NULL REFERENCES items (id),
  needs TEXT NOT NULL REFERENCES items (id),
  position INTEGER NOT NULL,
  PRIMARY KEY (item, needs),
  CHECK (item <> needs)
) STRICT, WITHOUT ROWID;
CREATE INDEX deps_needs ON deps (needs);

CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  item TEXT NOT NULL REFERENCES items (id),
  fence INTEGER NOT NULL,
  owner TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('preparing', 'running', 'proving', 'integrating', 'settled')),
  number INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT,
  ending TEXT,
  cause TEXT,
  counted INTEGER NOT NULL DEFAULT 0 CHECK (counted IN (0, 1)),
  sentence TEXT NOT NULL DEFAULT '',
  evidence TEXT NOT NULL DEFAULT '',
  base TEXT,
  seal TEXT,
  workspace TEXT,
  commits TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(commits)),
  verdicts TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(verdicts)),
  UNIQUE (item, fence),
  CHECK ((phase = 'settled') = (ended_at IS NOT NULL))
) STRICT;
CREATE INDEX attempts_counted ON attempts (ended_at, id) WHERE counted = 1;
CREATE INDEX attempts_well ON attempts (ended_at) WHERE outcome IN ('verified', 'claimed');

CREATE TABLE sessions (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  item TEXT NOT NULL REFERENCES items (id),
  fence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  agent TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('spawning', 'running', 'waiting_api', 'stopping', 'completed', 'failed',
                                         'timeout', 'stalled', 'interrupted', 'killed')),
  iteration INTEGER NOT NULL,
  run TEXT NOT NULL,
  claude_session_id TEXT NOT NULL,
  parent TEXT,
  model TEXT,
  pid INTEGER,
  boot TEXT,
  start INTEGER,
  doing TEXT NOT NULL,
  started_at INTEGER,
  heartbeat INTEGER,
  updated_at INTEGER,
  ended_at INTEGER,
  ending TEXT,
  ended_by TEXT,
  outcome TEXT,
  workspace TEXT,
  transcript TEXT,
  prompt TEXT NOT NULL CHECK (json_valid(prompt)),
  metrics TEXT NOT NULL CHECK (json_valid(metrics))
) STRICT;
CREATE INDEX sessions_item ON sessions (item, seq);
CREATE INDEX sessions_live ON sessions (seq) WHERE status IN ('spawning', 'running', 'waiting_api', 'stopping');

CREATE TABLE integrations (
  id INTEGER PRIMARY KEY,
  item TEXT NOT NULL REFERENCES items (id),
  fence INTEGER NOT NULL,
  repo TEXT NOT NULL,
  branch TEXT NOT NULL,
  base TEXT NOT NULL,
  seal TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('intended', 'applied', 'held', 'aborted')),
  merged TEXT,
  reason TEXT NOT NULL,
  paths TEXT NOT NULL CHECK (json_valid(paths)),
  began_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE INDEX integrations_item ON integrations (item, id);
CREATE INDEX integrations_open ON integrations (state, id) WHERE state IN ('intended', 'held');

CREATE TABLE decisions (
  id INTEGER PRIMARY KEY,
  item TEXT NOT NULL REFERENCES items (id),
  session TEXT,
  question TEXT NOT NULL,
  options TEXT NOT NULL CHECK (json_valid(options)),
  asked_at INTEGER NOT NULL,
  deadline_at INTEGER,
  answer TEXT,
  answered_at INTEGER,
  answered_by TEXT
) STRICT;
CREATE INDEX decisions_item ON decisions (item, id);

CREATE TABLE pauses (
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL CHECK (scope IN ('loop', 'credential')
                             OR scope GLOB 'repo:?*' OR scope GLOB 'kind:?*' OR scope GLOB 'item:?*'),
  kind TEXT NOT NULL CHECK (kind IN ('file', 'probe', 'condition', 'operator')),
  reason TEXT NOT NULL,
  source TEXT NOT NULL,
  began_at INTEGER NOT NULL,
  until INTEGER,
  ended_at INTEGER,
  ended_by TEXT
) STRICT;
CREATE UNIQUE INDEX pauses_open ON pauses (scope, source) WHERE ended_at IS NULL;
CREATE INDEX pauses_closed ON pauses (scope, kind, ended_at);

CREATE TABLE owners (
  owner TEXT PRIMARY KEY,
  pid INTEGER NOT NULL,
  boot TEXT NOT NULL,
  start INTEGER NOT NULL,
  kind TEXT NOT NULL,
  registered_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
  run TEXT PRIMARY KEY,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  began_at INTEGER NOT NULL,
  ended_at INTEGER,
  reason TEXT,
  iterations INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  actor TEXT NOT NULL,
  item TEXT,
  session TEXT,
  data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX journal_item ON journal (item) WHERE item IS NOT NULL;
CREATE INDEX journal_session ON journal (session) WHERE session IS NOT NULL;

CREATE TRIGGER journal_update BEFORE UPDATE ON journal
BEGIN
  SELECT raise(ABORT, 'the journal is append-only');
END;
CREATE TRIGGER journal_delete BEFORE DELETE ON journal
BEGIN
  SELECT raise(ABORT, 'the journal is append-only');
END;

-- What a mirrored file held when it was last written or absorbed: the base of the three-way comparison.
CREATE TABLE mirror (
  path TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL,
  base TEXT NOT NULL CHECK (json_valid(base)),
  at INTEGER NOT NULL
) STRICT;
