-- name: item_ids_like
-- Items whose id begins so; a few, to tell one from several.
SELECT id FROM items WHERE id >= :low AND id < :high ORDER BY id LIMIT :limit

-- name: session_ids_like
-- Sessions whose id begins so.
SELECT id FROM sessions WHERE id >= :low AND id < :high ORDER BY id LIMIT :limit

-- name: run_latest
-- The newest start of the loop.
SELECT run, pid, version, began_at, ended_at, reason, iterations, isolation FROM runs ORDER BY began_seq DESC LIMIT 1

-- name: outcomes_since
-- How settled attempts ended.
SELECT outcome, count(*) AS number FROM attempts WHERE ended_at >= :since AND outcome IS NOT NULL GROUP BY outcome

-- name: costs_since
-- What sessions cost, each an exact decimal as text or nothing.
SELECT json_extract(metrics, '$.cost_usd') AS cost FROM sessions WHERE ended_at >= :since

-- name: attempts_latest
-- The last settled attempts, newest first.
SELECT * FROM attempts WHERE ended_seq IS NOT NULL ORDER BY ended_seq DESC LIMIT :limit

-- name: runs_unclean
-- Starts without an end since then, and since a person last ended the pause of that source. A start that lies ahead of
-- us was before the clock was set back: how long ago, nobody knows.
SELECT count(*) AS number FROM runs
WHERE ended_at IS NULL AND began_at BETWEEN :since AND :now
  AND began_seq > coalesce((SELECT max(ended_seq) FROM pauses WHERE source = :source), 0)

-- name: strains_of_session
-- Bounds it crossed, and came back from, in order.
SELECT kind, data FROM journal
WHERE session = :session AND kind IN ('session.strained', 'session.alert', 'session.relieved') ORDER BY seq
