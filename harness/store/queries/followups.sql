-- What follows an integration: reviews, pulls, builds.

-- name: followup_insert
-- Once a step and target, however often the integration is resolved.
INSERT INTO followups (integration, step, target, began_at) VALUES (:integration, :step, :target, :now)
ON CONFLICT (integration, step, target) DO NOTHING

-- name: followup_get
-- One step with what its integration knows.
SELECT f.*, i.item, i.repo, i.branch, i.base, i.merged
FROM followups AS f JOIN integrations AS i ON i.id = f.integration WHERE f.id = :id

-- name: followup_settle
-- What became of it.
UPDATE followups SET state = :state, reason = :reason, made = :made, ended_at = :ended_at WHERE id = :id

-- name: followups_wanted
-- Not done yet, oldest first.
SELECT f.*, i.item, i.repo, i.branch, i.base, i.merged
FROM followups AS f JOIN integrations AS i ON i.id = f.integration WHERE f.state = 'wanted' ORDER BY f.id

-- name: followups_of
-- Of one item, oldest first.
SELECT f.*, i.item, i.repo, i.branch, i.base, i.merged
FROM integrations AS i JOIN followups AS f ON f.integration = i.id WHERE i.item = :item ORDER BY f.id

-- name: builds_last
-- The last build of each repository that came to an end.
SELECT f.*, i.item, i.repo, i.branch, i.base, i.merged
FROM followups AS f JOIN integrations AS i ON i.id = f.integration
WHERE f.id IN (
  SELECT max(b.id) FROM followups AS b JOIN integrations AS of ON of.id = b.integration
  WHERE b.step = 'build' AND b.state IN ('done', 'failed') GROUP BY of.repo)
ORDER BY f.id

-- name: builds_latest
-- Builds of a repository that came to an end, newest first.
SELECT f.*, i.item, i.repo, i.branch, i.base, i.merged
FROM followups AS f JOIN integrations AS i ON i.id = f.integration
WHERE f.step = 'build' AND f.state IN ('done', 'failed') AND i.repo = :repo
ORDER BY f.id DESC LIMIT :limit

-- name: commits_after
-- What came to a branch or a remote after an entry of the journal, with what it was.
SELECT j.seq, j.at, j.kind AS event, j.data, i.item, i.repo, i.branch, i.base, i.merged, i.kind AS what, i.push_reason,
       w.kind, w.title, w.source
FROM journal AS j
JOIN integrations AS i ON i.id = json_extract(j.data, '$.integration')
JOIN items AS w ON w.id = i.item
WHERE j.seq > :after AND j.kind IN ('integration.applied', 'integration.pushed')
ORDER BY j.seq LIMIT :limit
