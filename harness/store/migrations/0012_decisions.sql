-- A question has one end: an answer, its deadline, or that its item went on without it. `via` is how an answer came;
-- what happens at `deadline_at` is said by `on_timeout`. An item has one open question at most.
ALTER TABLE decisions ADD COLUMN state TEXT NOT NULL DEFAULT 'open'
  CHECK (state IN ('open', 'answered', 'skipped', 'closed'));
ALTER TABLE decisions ADD COLUMN on_timeout TEXT NOT NULL DEFAULT 'hold'
  CHECK (on_timeout IN ('skip', 'default', 'hold'));
ALTER TABLE decisions ADD COLUMN via TEXT CHECK (via IN ('command', 'file', 'deadline'));
ALTER TABLE decisions ADD COLUMN reason TEXT NOT NULL DEFAULT '';

UPDATE decisions SET state = 'closed', reason = 'asked before answers were on record'
WHERE id NOT IN (SELECT max(decisions.id) FROM decisions JOIN items ON items.id = decisions.item
                 WHERE items.state = 'waiting' GROUP BY item);

CREATE UNIQUE INDEX decisions_open ON decisions (item) WHERE state = 'open';
CREATE INDEX decisions_due ON decisions (deadline_at) WHERE state = 'open';
CREATE INDEX decisions_ended ON decisions (answered_at) WHERE state <> 'open';

CREATE TRIGGER decisions_end BEFORE UPDATE OF state, answer ON decisions
WHEN OLD.state IN ('answered', 'closed') OR (OLD.state = 'skipped' AND NEW.state <> 'answered')
BEGIN
  SELECT raise(ABORT, 'a question has one end');
END;
