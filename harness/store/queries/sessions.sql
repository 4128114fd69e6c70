-- name: session_insert
-- A session is on record before its process starts.
INSERT INTO sessions (
  id, item, fence, attempt, agent, status, iteration, run, claude_session_id, parent, model, pid, boot, start, doing,
  started_at, heartbeat, updated_at, ended_at, ending, ended_by, outcome, workspace, transcript, prompt, metrics, role)
VALUES (
  :id, :item, :fence, :attempt, :agent, :status, :iteration, :run, :claude_session_id, :parent, :model, :pid, :boot,
  :start, :doing, :started_at, :heartbeat, :updated_at, :ended_at, :ending, :ended_by, :outcome, :workspace,
  :transcript, :prompt, :metrics, :role)

-- name: session_write
-- What is known of a session now, but for its status.
UPDATE sessions SET
  attempt = :attempt, agent = :agent, iteration = :iteration, run = :run,
  claude_session_id = :claude_session_id, parent = :parent, model = :model, pid = :pid, boot = :boot, start = :start,
  doing = :doing, started_at = :started_at, heartbeat = :heartbeat, updated_at = :updated_at, ended_at = :ended_at,
  ending = :ending, ended_by = :ended_by, outcome = :outcome, workspace = :workspace, transcript = :transcript,
  prompt = :prompt, metrics = :metrics
WHERE id = :id

-- name: session_enter
-- A new status; by itself, for its constraint and its index cost more than all other columns.
UPDATE sessions SET status = :status WHERE id = :id

-- name: session_beat
-- What changes of a session while its status does not.
UPDATE sessions SET pid = :pid, doing = :doing, heartbeat = :heartbeat, updated_at = :updated_at WHERE id = :id

-- name: session_status
-- To tell a change of status from a heartbeat.
SELECT status FROM sessions WHERE id = :id

-- name: session_get
-- One session.
SELECT * FROM sessions WHERE id = :id

-- name: session_of_lease
-- The last session of one lease that did its work.
SELECT * FROM sessions WHERE item = :item AND fence = :fence AND role = 'work' ORDER BY seq DESC LIMIT 1

-- name: reviews_of_lease
-- Reviews of one lease without a final status.
SELECT * FROM sessions
WHERE item = :item AND fence = :fence AND role = 'review'
  AND status IN ('spawning', 'running', 'waiting_api', 'stopping')
ORDER BY seq

-- name: sessions_all
-- Sessions, newest first.
SELECT * FROM sessions ORDER BY seq DESC LIMIT :limit

-- name: sessions_of_item
-- Sessions of an item, newest first.
SELECT * FROM sessions WHERE item = :item ORDER BY seq DESC LIMIT :limit

-- name: sessions_live
-- Sessions without a final status, newest first.
SELECT * FROM sessions
WHERE status IN ('spawning', 'running', 'waiting_api', 'stopping') AND (:item IS NULL OR item = :item)
ORDER BY seq DESC LIMIT :limit

-- name: sessions_unscrubbed
-- Ended sessions of done items whose transcripts are not looked through yet, oldest first; `after` is an id.
SELECT sessions.* FROM sessions INDEXED BY sessions_unscrubbed JOIN items ON items.id = sessions.item
WHERE sessions.scrubbed = 0 AND sessions.seq > coalesce((SELECT seq FROM sessions WHERE id = :after), 0)
  AND sessions.status NOT IN ('spawning', 'running', 'waiting_api', 'stopping') AND items.state = 'done'
ORDER BY sessions.seq LIMIT :limit

-- name: sessions_unscrubbed_of_item
-- The same of one item.
SELECT sessions.* FROM sessions JOIN items ON items.id = sessions.item
WHERE sessions.item = :item AND sessions.scrubbed = 0
  AND sessions.seq > coalesce((SELECT seq FROM sessions WHERE id = :after), 0)
  AND sessions.status NOT IN ('spawning', 'running', 'waiting_api', 'stopping') AND items.state = 'done'
ORDER BY sessions.seq LIMIT :limit

-- name: costs_by_kind
-- What ended sessions cost, each a decimal as text: exact, or the estimate where that is not whole. Of a day (`until`)
-- and not of what was before a clock that was set back.
SELECT items.kind, coalesce(
  json_extract(sessions.metrics, '$.estimated_cost_usd'), json_extract(sessions.metrics, '$.cost_usd')) AS cost
FROM sessions JOIN items ON items.id = sessions.item
WHERE sessions.ended_at >= :since AND (:until IS NULL OR sessions.ended_at < :until) AND cost IS NOT NULL

-- name: costs_of_item
-- The same for one item.
SELECT items.kind, coalesce(
  json_extract(sessions.metrics, '$.estimated_cost_usd'), json_extract(sessions.metrics, '$.cost_usd')) AS cost
FROM sessions JOIN items ON items.id = sessions.item
WHERE sessions.item = :item AND sessions.ended_at IS NOT NULL AND cost IS NOT NULL
