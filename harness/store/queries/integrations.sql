-- name: integration_insert
-- The intent, before anything moves.
INSERT INTO integrations
  (item, fence, repo, branch, base, seal, state, merged, reason, paths, began_at, kind, push, followed_by)
VALUES
  (:item, :fence, :repo, :branch, :base, :seal, 'intended', :merged, :reason, :paths, :began_at, :kind, :push,
   :followed_by)

-- name: integration_get
-- One integration.
SELECT * FROM integrations WHERE id = :id

-- name: integration_resolve
-- What became of it.
UPDATE integrations SET
  state = :state, merged = :merged, reason = :reason, paths = :paths, ended_at = :ended_at
WHERE id = :id

-- name: integration_publish
-- Whether it is at the remote.
UPDATE integrations SET push = :push, push_reason = :reason WHERE id = :id

-- name: integrations_unpushed
-- On the branch here, and not at the remote yet.
SELECT * FROM integrations WHERE push = 'wanted' AND state = 'applied' ORDER BY id

-- name: run_get
-- One start-to-stop of the loop.
SELECT * FROM runs WHERE run = :run

-- name: integrations_of_run
-- Work that came to its branch from the start of a run to that of the next one.
SELECT * FROM integrations
WHERE state = 'applied' AND kind = 'work'
  AND began_at >= (SELECT began_at FROM runs WHERE run = :run)
  AND began_at < coalesce(
    (SELECT min(later.began_at) FROM runs AS later
     WHERE later.began_at > (SELECT began_at FROM runs WHERE run = :run)), 9223372036854775807)
ORDER BY id

-- name: integrations_of_item
-- Integrations of one item, oldest first.
SELECT * FROM integrations
WHERE item = :item AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
ORDER BY id

-- name: integrations_open
-- Those that are not at their end, oldest first: by their index, for what is over is all that ever was.
SELECT * FROM integrations
WHERE state IN ('intended', 'held') AND state IN (SELECT value FROM json_each(:states))
ORDER BY id

-- name: integrations_all
-- Integrations, oldest first.
SELECT * FROM integrations WHERE :states IS NULL OR state IN (SELECT value FROM json_each(:states)) ORDER BY id
