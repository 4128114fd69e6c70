-- name: pauses_open
-- What is paused now, oldest first.
SELECT id, scope, kind, reason, source, began_at, until FROM pauses INDEXED BY pauses_open
WHERE ended_at IS NULL ORDER BY id

-- name: pause_open
-- One open pause a scope and source.
SELECT id, scope, kind, reason, source, began_at, until FROM pauses
WHERE scope = :scope AND source = :source AND ended_at IS NULL

-- name: pause_insert
-- A new pause.
INSERT INTO pauses (scope, kind, reason, source, began_at, until, set_at)
VALUES (:scope, :kind, :reason, :source, :now, :until, :now)

-- name: pause_change
-- An open pause gets another reason or time.
UPDATE pauses SET kind = :kind, reason = :reason, until = :until, set_at = :now WHERE id = :id

-- name: pauses_begin_anew
-- Times that were set at a moment that has not come yet: the clock has been set back since. Each is as far off as it was.
UPDATE pauses SET until = :now + until - set_at, set_at = :now
WHERE ended_at IS NULL AND until IS NOT NULL AND set_at > :now
RETURNING scope, kind, reason, source, until

-- name: pauses_expire
-- Holds and reserves end by themselves when their time has come; a probe's time only lets one lease try.
UPDATE pauses SET ended_at = :now, ended_by = 'its time had come',
  ended_seq = (SELECT coalesce(max(seq), 0) FROM journal)
WHERE ended_at IS NULL AND kind IN ('hold', 'reserve') AND until <= :now
RETURNING scope, reason, source, began_at

-- name: pause_close
-- Every open pause of a scope, or the one of a source.
UPDATE pauses INDEXED BY pauses_open SET ended_at = :now, ended_by = :by,
  ended_seq = (SELECT coalesce(max(seq), 0) FROM journal)
WHERE scope = :scope AND (:source IS NULL OR source = :source) AND ended_at IS NULL
RETURNING id, kind, reason, source, began_at
