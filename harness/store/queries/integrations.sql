-- name: integration_insert
-- The intent, before anything moves.
INSERT INTO integrations (item, fence, repo, branch, base, seal, state, merged, reason, paths, began_at)
VALUES (:item, :fence, :repo, :branch, :base, :seal, 'intended', :merged, :reason, :paths, :began_at)

-- name: integration_get
-- One integration.
SELECT * FROM integrations WHERE id = :id

-- name: integration_resolve
-- What became of it.
UPDATE integrations SET
  state = :state, merged = :merged, reason = :reason, paths = :paths, ended_at = :ended_at
WHERE id = :id

-- name: integrations_of
-- Integrations, oldest first; both filters may be left out.
SELECT * FROM integrations
WHERE (:item IS NULL OR item = :item)
  AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
ORDER BY id
