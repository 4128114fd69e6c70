-- name: item_ids_like
-- Items whose id begins so; a few, to tell one from several.
SELECT id FROM items WHERE id >= :low AND id < :high ORDER BY id LIMIT :limit

-- name: session_ids_like
-- Sessions whose id begins so.
SELECT id FROM sessions WHERE id >= :low AND id < :high ORDER BY id LIMIT :limit

-- name: run_latest
-- The newest start of the loop.
SELECT run, pid, version, began_at, ended_at, reason, iterations FROM runs ORDER BY began_at DESC LIMIT 1

-- name: outcomes_since
-- How settled attempts ended.
SELECT outcome, count(*) AS number FROM attempts WHERE ended_at >= :since AND outcome IS NOT NULL GROUP BY outcome

-- name: costs_since
-- What sessions cost, each an exact decimal as text or nothing.
SELECT json_extract(metrics, '$.cost_usd') AS cost FROM sessions WHERE ended_at >= :since

-- name: attempts_latest
-- The last settled attempts, newest first.
SELECT * FROM attempts WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT :limit

-- name: runs_unclean
-- Starts without an end since then, and since a person last ended the pause of that source.
SELECT count(*) AS number FROM runs
WHERE ended_at IS NULL AND began_at >= :since
  AND began_at > coalesce((SELECT max(ended_at) FROM pauses WHERE source = :source), 0)
