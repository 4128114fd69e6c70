-- What a look at now needs of a long history.
CREATE INDEX items_parked ON items (updated_at, seq) WHERE state = 'parked';
CREATE INDEX attempts_since ON attempts (ended_at, outcome) WHERE outcome IS NOT NULL;
CREATE INDEX sessions_since ON sessions (ended_at) WHERE ended_at IS NOT NULL;
