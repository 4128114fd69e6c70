-- What sessions may cost that have begun, for the budgets of all processes at once (H34). A row stays when its attempt
-- has ended: it is what a session counts with whose cost nobody knows.
CREATE TABLE reservations (
  attempt INTEGER PRIMARY KEY REFERENCES attempts (id),
  kind TEXT NOT NULL,
  usd TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_ended ON attempts (ended_seq) WHERE ended_seq IS NOT NULL;
