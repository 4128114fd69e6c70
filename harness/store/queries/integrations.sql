-- name: integration_insert
-- The intent, before anything moves.
INSERT INTO integrations (item, fence, repo, branch, base, seal, state, merged, reason, paths, began_at, kind, push)
VALUES (:item, :fence, :repo, :branch, :base, :seal, 'intended', :merged, :reason, :paths, :began_at, :kind, :push)

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

-- name: integrations_of
-- Integrations, oldest first; both filters may be left out.
SELECT * FROM integrations
WHERE (:item IS NULL OR item = :item)
  AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
ORDER BY id
