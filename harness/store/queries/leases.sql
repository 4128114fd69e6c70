-- name: due_promote
-- Delayed items whose time has come.
UPDATE items SET state = 'ready', not_before = NULL, updated_at = :now
WHERE state = 'delayed' AND not_before <= :now
RETURNING id, reason

-- name: due_any
-- Whether there is one: to look is a fraction of an update that finds nothing.
SELECT 1 FROM items WHERE state = 'delayed' AND not_before <= :now LIMIT 1

-- name: leases_out
-- What runs now: one short row a lease, from the index alone.
SELECT lane, repo, kind, exclusive FROM items WHERE state = 'leased'

-- name: leases_out_at
-- The same with the time of the lease, which tells a probe from what ran before its pause.
SELECT lane, repo, kind, exclusive, leased_at FROM items WHERE state = 'leased'

-- name: resources_taken
-- What some lease has.
SELECT name FROM resources

-- name: resources_out
-- Who has what.
SELECT name, item FROM resources ORDER BY name

-- name: resource_of
-- Who has one.
SELECT item FROM resources WHERE name = :resource

-- name: resource_take
-- Nothing happens if somebody has it.
INSERT INTO resources (name, item, fence) VALUES (:resource, :item, :fence) ON CONFLICT DO NOTHING

-- name: lease_take
-- The best ready item that nothing holds back becomes leased; the whole choice in one statement.
UPDATE items SET
  state = 'leased', owner = :owner, leased_at = :now, fence = fence + 1, updated_at = :now
WHERE seq = (
  SELECT seq FROM items
  WHERE state = 'ready'
    AND (assigned IS NULL OR assigned = :actor)
    AND lane NOT IN (SELECT value FROM json_each(:lanes))
    AND kind NOT IN (SELECT value FROM json_each(:kinds))
    AND priority <= :least_urgent
    AND coalesce(repo, :default_repository, '') NOT IN (SELECT value FROM json_each(:repos))
    AND seq NOT IN (SELECT seq FROM items WHERE id IN (SELECT value FROM json_each(:items)))
    AND (:only IS NULL OR seq IN (SELECT seq FROM items WHERE id IN (SELECT value FROM json_each(:only))))
    AND (exclusive IS NULL OR has_room(exclusive))
  ORDER BY fresh, rank_at, seq LIMIT 1)
RETURNING id

-- name: lease_take_any
-- The same when no lane is full and no scope is paused, which is nearly always.
UPDATE items SET
  state = 'leased', owner = :owner, leased_at = :now, fence = fence + 1, updated_at = :now
WHERE seq = (
  SELECT seq FROM items
  WHERE state = 'ready' AND (assigned IS NULL OR assigned = :actor)
  ORDER BY fresh, rank_at, seq LIMIT 1)
RETURNING id

-- name: lease_offer
-- What a person hands in becomes ready for the statement after this one, which leases it in the same transaction.
UPDATE items SET state = 'ready' WHERE id = :id AND state = 'waiting'

-- name: lease_named
-- One ready item, by its name.
UPDATE items SET
  state = 'leased', owner = :owner, leased_at = :now, fence = fence + 1, updated_at = :now
WHERE id = :id AND state = 'ready'

-- name: attempt_insert
-- Every start is on record, whatever becomes of it.
INSERT INTO attempts (item, fence, owner, phase, number, started_at)
VALUES (:item, :fence, :owner, 'preparing', :number, :now)

-- name: attempt_facts
-- What is on record so far; new facts are laid over it.
SELECT * FROM attempts WHERE item = :item AND fence = :fence

-- name: attempt_phase
-- How far an attempt is, and what is known by then; what is known already stays.
UPDATE attempts SET
  phase = :phase, base = coalesce(:base, base), seal = coalesce(:seal, seal), workspace = coalesce(:workspace, workspace),
  commits = coalesce(:commits, commits), verdicts = coalesce(:verdicts, verdicts)
WHERE item = :item AND fence = :fence

-- name: attempt_write
-- How far an attempt is, or how it ended.
UPDATE attempts SET
  phase = :phase, ended_at = :ended_at,
  ended_seq = CASE WHEN :ended_at IS NULL THEN NULL ELSE (SELECT coalesce(max(seq), 0) FROM journal) END,
  outcome = :outcome, ending = :ending, cause = :cause, counted = :counted,
  sentence = :sentence, evidence = :evidence, base = :base, seal = :seal, workspace = :workspace, commits = :commits,
  verdicts = :verdicts
WHERE id = :id

-- name: attempts_of
-- All attempts of an item, oldest first.
SELECT * FROM attempts WHERE item = :item ORDER BY fence

-- name: attempts_streak
-- Attempts that counted against their items, newest first, since the last one that ended well and since the interrupt
-- file last went away; in the order in which they were settled, whatever the clock said.
SELECT * FROM attempts
WHERE counted = 1
  AND ended_seq > coalesce((SELECT max(ended_seq) FROM attempts WHERE outcome IN ('verified', 'claimed')), 0)
  AND ended_seq > coalesce((SELECT max(ended_seq) FROM pauses WHERE scope = 'loop' AND kind = 'file'), 0)
ORDER BY ended_seq DESC
LIMIT :limit

-- name: ends_latest
-- The ends among the newest leases that had a session, oldest first: what breakers remember over a start. `ran`: its
-- agent was heard; `cleared`: the interrupt file has gone away since.
SELECT attempts.item, attempts.outcome, attempts.ending, attempts.ended_at, sessions.id AS session, sessions.model,
  EXISTS (
    SELECT 1 FROM journal WHERE journal.session = sessions.id AND journal.kind = 'session.updated'
      AND json_extract(journal.data, '$.status') IN ('running', 'waiting_api')) AS ran,
  attempts.ended_seq <= coalesce((SELECT max(ended_seq) FROM pauses WHERE scope = 'loop' AND kind = 'file'), 0)
    AS cleared
-- CROSS and + keep SQLite from beginning with all sessions, or all attempts, that there ever were.
FROM attempts CROSS JOIN sessions
  ON sessions.item = attempts.item AND sessions.fence = attempts.fence AND sessions.role = 'work'
WHERE attempts.id > (SELECT coalesce(max(id), 0) FROM attempts) - :limit AND +attempts.ended_seq IS NOT NULL
  AND (:since IS NULL OR +attempts.ended_at >= :since)
ORDER BY +attempts.ended_seq

-- name: waits_begin_anew
-- Waits of our own, set at a time that has not come yet: the clock has been set back since. Each is as long as it was,
-- from now on. An operator's time is left alone: it is further off than any wait of ours, or set since.
UPDATE items SET not_before = :now + not_before - settled.ended_at, updated_at = :now
FROM attempts AS settled
WHERE items.state = 'delayed' AND items.updated_at > :now AND settled.item = items.id AND settled.fence = items.fence
  AND settled.ended_at > :now AND not_before BETWEEN settled.ended_at AND settled.ended_at + :longest
RETURNING items.id, not_before

-- name: item_settle
-- The end of a lease. The fence and the owner must still be the ones of the lease.
UPDATE items SET
  state = :state, reason = :reason, not_before = :not_before, attempts = :attempts, rescues = :rescues,
  deferrals = :deferrals, continuation = :continuation, fresh = :continuation IS NULL, outcome = :outcome,
  owner = NULL, leased_at = NULL, updated_at = :now
WHERE id = :id AND fence = :fence AND owner = :owner AND state = 'leased'

-- name: lease_holder
-- Whose an item is now.
SELECT state, fence, owner FROM items WHERE id = :id

-- name: leased_by
-- Items whose lease belongs to one of these owners.
SELECT *, (SELECT json_group_array(needs) FROM (SELECT needs FROM deps WHERE item = items.id ORDER BY position))
  AS depends_on
FROM items WHERE state = 'leased' AND owner IN (SELECT value FROM json_each(:owners)) ORDER BY seq

-- name: owner_register
-- An owner announces itself; a name that comes back begins anew.
INSERT INTO owners (owner, pid, boot, start, kind, registered_at)
VALUES (:owner, :pid, :boot, :start, :kind, :now)
ON CONFLICT (owner) DO UPDATE SET
  pid = excluded.pid, boot = excluded.boot, start = excluded.start, kind = excluded.kind,
  registered_at = excluded.registered_at, ended_at = NULL

-- name: owner_boot
-- Which start of the machine an owner lived in.
SELECT boot FROM owners WHERE owner = :owner

-- name: owner_end
-- The owner has ended.
UPDATE owners SET ended_at = :now WHERE owner = :owner AND ended_at IS NULL

-- name: owners_known
-- Owners that hold a lease or have not ended.
SELECT owner FROM owners WHERE ended_at IS NULL
UNION SELECT owner FROM items WHERE state = 'leased' ORDER BY owner

-- name: wake_at
-- The next time something changes by itself. What is due already waits for something else, as for the end of a pause.
SELECT min(at) AS at FROM (
  SELECT min(not_before) AS at FROM items WHERE state = 'delayed' AND not_before > :now
  UNION ALL
  SELECT min(until) FROM pauses WHERE ended_at IS NULL AND until > :now)
