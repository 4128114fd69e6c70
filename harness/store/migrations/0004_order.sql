-- What came after what is told by the journal's numbers, because a clock may be set: `*_seq` is the number of the newest
-- entry when it happened. `set_at` is when the time of a pause was written, which tells a clock that was set back since.
ALTER TABLE attempts ADD COLUMN ended_seq INTEGER;
ALTER TABLE pauses ADD COLUMN ended_seq INTEGER;
ALTER TABLE pauses ADD COLUMN set_at INTEGER;
ALTER TABLE runs ADD COLUMN began_seq INTEGER NOT NULL DEFAULT 0;

UPDATE attempts SET ended_seq = (
  SELECT max(seq) FROM journal
  WHERE journal.item = attempts.item AND kind = 'item.settled' AND json_extract(data, '$.fence') = attempts.fence)
WHERE ended_at IS NOT NULL;
UPDATE pauses SET set_at = began_at;
UPDATE pauses SET ended_seq = coalesce((SELECT max(seq) FROM journal WHERE kind = 'pause.closed' AND at = ended_at), 0)
WHERE ended_at IS NOT NULL AND id IN (SELECT max(id) FROM pauses WHERE ended_at IS NOT NULL GROUP BY scope, kind, source);
UPDATE runs SET began_seq = told.seq
FROM (SELECT seq, json_extract(data, '$.run') AS run FROM journal WHERE kind = 'run.begun') AS told
WHERE told.run = runs.run;

DROP INDEX attempts_counted;
DROP INDEX attempts_well;
DROP INDEX pauses_closed;
CREATE INDEX attempts_counted ON attempts (ended_seq) WHERE counted = 1;
CREATE INDEX attempts_well ON attempts (ended_seq) WHERE outcome IN ('verified', 'claimed');
CREATE INDEX pauses_closed ON pauses (scope, kind, ended_seq);
CREATE INDEX runs_begun ON runs (began_seq);
