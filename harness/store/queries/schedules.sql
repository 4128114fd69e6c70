-- What recurs: how far it has been looked at, and what became of each slot.

-- name: schedules_all
-- Every schedule that was ever looked at.
SELECT * FROM schedules

-- name: schedule_begin
-- New, with another trigger, or under a clock that was set back. Events of the same trigger are not forgotten.
INSERT INTO schedules (name, rule, looked_at, seq)
VALUES (:schedule, :rule, :now, coalesce((SELECT max(seq) FROM journal), 0))
ON CONFLICT (name) DO UPDATE SET
  looked_at = :now, fired_at = min(fired_at, :now), rule = :rule,
  seq = CASE WHEN rule = :rule THEN seq ELSE excluded.seq END
RETURNING *

-- name: schedule_looked
-- How far was looked, and when it fired last; what is null stays as it was.
UPDATE schedules SET looked_at = coalesce(:looked_at, looked_at), seq = coalesce(:seq, seq),
  fired_at = coalesce(:fired_at, fired_at)
WHERE name = :schedule

-- name: schedule_delete
-- Configured no more. Its firings stay.
DELETE FROM schedules WHERE name = :schedule

-- name: firing_insert
-- A slot has one row for good.
INSERT INTO firings (schedule, slot, at, missed, state, item, reason, ended_at)
VALUES (:schedule, :slot, :now, :missed, :state, :item, :reason, :ended_at)
ON CONFLICT (schedule, slot) DO NOTHING
RETURNING *

-- name: firing_known
-- Whether a slot had its turn.
SELECT id FROM firings WHERE schedule = :schedule AND slot = :slot

-- name: firing_get
-- One firing.
SELECT * FROM firings WHERE id = :id

-- name: firing_open
-- The command of a schedule that is not over.
SELECT * FROM firings WHERE schedule = :schedule AND state IN ('wanted', 'running')

-- name: firing_begin
-- Once more, unless it is over.
UPDATE firings SET state = 'running', tries = tries + 1 WHERE id = :id AND state IN ('wanted', 'running')

-- name: firing_end
-- What became of a command; `refund` = 1 takes back that it was begun.
UPDATE firings SET state = :state, reason = :reason, log = coalesce(:log, log), ended_at = :ended_at,
  tries = max(0, tries - :refund)
WHERE id = :id AND state IN ('wanted', 'running')

-- name: firings_of
-- Of one schedule, newest first.
SELECT * FROM firings WHERE schedule = :schedule ORDER BY id DESC LIMIT :limit

-- name: firings_open
-- Commands that are not over, oldest first.
SELECT * FROM firings WHERE state IN ('wanted', 'running') ORDER BY id

-- name: firings_failed
-- The last run of each schedule's command that came to an end, where it failed.
SELECT f.* FROM schedules AS s JOIN firings AS f ON f.id = (
  SELECT e.id FROM firings AS e WHERE e.schedule = s.name AND e.state IN ('done', 'failed', 'dropped')
  ORDER BY e.id DESC LIMIT 1)
WHERE f.state = 'failed' ORDER BY f.id
