-- name: decision_insert
-- A question to a person.
INSERT INTO decisions (item, session, question, options, asked_at, deadline_at, on_timeout)
VALUES (:item, :session, :question, :options, :now, :deadline_at, :on_timeout)

-- name: decision_get
-- One question.
SELECT * FROM decisions WHERE id = :id

-- name: decisions_open
-- What waits for an answer, oldest first.
SELECT * FROM decisions WHERE state = 'open' ORDER BY id LIMIT :limit

-- name: decisions_latest
-- All questions, newest first.
SELECT * FROM decisions ORDER BY id DESC LIMIT :limit

-- name: decisions_of
-- The questions of one item, oldest first.
SELECT * FROM decisions WHERE item = :item ORDER BY id

-- name: decisions_skipped
-- What nobody answered in time, of late.
SELECT * FROM decisions WHERE state <> 'open' AND answered_at >= :since AND state = 'skipped' ORDER BY id

-- name: decisions_due
-- Open questions whose time is over.
SELECT * FROM decisions WHERE state = 'open' AND deadline_at <= :now AND on_timeout <> 'hold' ORDER BY deadline_at, id

-- name: decisions_wake
-- When the next one is over.
SELECT min(deadline_at) AS at FROM decisions WHERE state = 'open' AND on_timeout <> 'hold'

-- name: decision_end
-- Its end; a trigger refuses a second one, but for an answer that came too late.
UPDATE decisions SET
  state = :state, answer = :answer, answered_at = :now, answered_by = :by, via = :via, reason = :reason
WHERE id = :id

-- name: decisions_close
-- The item goes on without an answer.
UPDATE decisions SET state = 'closed', answered_at = :now, answered_by = :by, reason = :reason
WHERE item = :item AND state = 'open'
RETURNING id, session

-- name: decisions_begin_anew
-- Deadlines that were set after `now` (the clock was set back) are as far off as they were.
UPDATE decisions SET deadline_at = :now + deadline_at - asked_at, asked_at = :now
WHERE state = 'open' AND asked_at > :now AND deadline_at IS NOT NULL
RETURNING id, item, session, deadline_at
