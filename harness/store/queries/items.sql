-- name: item_insert
-- Nothing happens on a known id or a live dedupe_key; the caller asks which.
INSERT INTO items (
  id, title, kind, description, repo, priority, lane, state, reason, not_before, attempts, max_attempts, rescues,
  deferrals, fence, agent, model, scope, branch, assigned, resources, timeout_seconds, max_cost_usd, labels, extra,
  source, dedupe_key, regression_of, on_failure, continuation, outcome, rank_at, created_at, updated_at, fresh,
  exclusive)
VALUES (
  :id, :title, :kind, :description, :repo, :priority, :lane, :state, :reason, :not_before, :attempts, :max_attempts,
  :rescues, :deferrals, :fence, :agent, :model, :scope, :branch, :assigned, :resources, :timeout_seconds,
  :max_cost_usd, :labels, :extra, :source, :dedupe_key, :regression_of, :on_failure, :continuation, :outcome, :rank_at,
  :created_at, :updated_at, :continuation IS NULL,
  CASE WHEN :resources = '[]' AND :scope = '[]' THEN NULL ELSE json_array(:repo, json(:resources), json(:scope)) END)
ON CONFLICT DO NOTHING

-- name: item_get
-- One item with what it depends on, in the order it was given.
SELECT *, (SELECT json_group_array(needs) FROM (SELECT needs FROM deps WHERE item = items.id ORDER BY position))
  AS depends_on
FROM items WHERE id = :id

-- name: item_state
-- Whether an id is known.
SELECT state FROM items WHERE id = :id

-- name: items_any_of
-- Whether one of these ids is known.
SELECT id FROM items WHERE id IN (SELECT value FROM json_each(:ids)) LIMIT 1

-- name: item_sighted
-- A live item with this dedupe_key was found once more; the more urgent priority of the two wins.
UPDATE items SET
  sightings = sightings + 1, last_seen_at = :now, priority = min(priority, :priority),
  rank_at = rank_at - 3600000 * (priority - min(priority, :priority))
WHERE dedupe_key = :dedupe_key AND state NOT IN ('done', 'cancelled')
RETURNING id, state, sightings, priority

-- name: item_by_dedupe
-- The live item of a dedupe key.
SELECT id, priority FROM items WHERE dedupe_key = :dedupe_key AND state NOT IN ('done', 'cancelled')

-- name: item_done_before
-- The item of a dedupe key that was done last.
SELECT id FROM items WHERE dedupe_key = :dedupe_key AND state = 'done' ORDER BY updated_at DESC LIMIT 1

-- name: item_update
-- An operator's change; state follows from dependencies and not_before.
UPDATE items SET
  title = :title, kind = :kind, description = :description, repo = :repo, priority = :priority, lane = :lane,
  state = :state, reason = :reason, not_before = :not_before, max_attempts = :max_attempts, agent = :agent,
  model = :model, scope = :scope, branch = :branch, assigned = :assigned, resources = :resources,
  exclusive = CASE WHEN :resources = '[]' AND :scope = '[]' THEN NULL
                   ELSE json_array(:repo, json(:resources), json(:scope)) END,
  on_failure = :on_failure, dedupe_key = :dedupe_key,
  timeout_seconds = :timeout_seconds, max_cost_usd = :max_cost_usd, labels = :labels, extra = :extra,
  rank_at = :rank_at, updated_at = :updated_at
WHERE id = :id

-- name: item_move
-- A change of state outside a lease, with the counters that go with it.
UPDATE items SET
  state = :state, reason = :reason, not_before = :not_before, max_attempts = :max_attempts, rescues = :rescues,
  deferrals = :deferrals, outcome = :outcome, assigned = :assigned, continuation = :continuation,
  fresh = :continuation IS NULL, updated_at = :updated_at
WHERE id = :id AND state <> 'leased'

-- name: item_carry
-- Where the next lease goes on, by an operator's will.
UPDATE items SET continuation = :continuation, fresh = :continuation IS NULL, updated_at = :updated_at
WHERE id = :id AND state <> 'leased'

-- name: items_in_state
-- Unfinished items of one state in lease order, after a position.
SELECT *, (SELECT json_group_array(needs) FROM (SELECT needs FROM deps WHERE item = items.id ORDER BY position))
  AS depends_on
FROM items
WHERE state = :state AND (fresh, rank_at, seq) > (:fresh, :rank_at, :seq)
ORDER BY fresh, rank_at, seq LIMIT :limit

-- name: items_finished
-- Finished items, newest first, before a position.
SELECT *, (SELECT json_group_array(needs) FROM (SELECT needs FROM deps WHERE item = items.id ORDER BY position))
  AS depends_on
FROM items INDEXED BY items_finished
WHERE state IN ('done', 'parked', 'cancelled') AND state IN (SELECT value FROM json_each(:states))
  AND (updated_at, seq) < (:updated_at, :seq)
ORDER BY updated_at DESC, seq DESC LIMIT :limit

-- name: items_parked
-- The same for parked ones alone, which are few among all that is over.
SELECT *, (SELECT json_group_array(needs) FROM (SELECT needs FROM deps WHERE item = items.id ORDER BY position))
  AS depends_on
FROM items INDEXED BY items_parked
WHERE state = 'parked' AND (updated_at, seq) < (:updated_at, :seq)
ORDER BY updated_at DESC, seq DESC LIMIT :limit

-- name: items_counted
-- How many items are in each state.
SELECT state, count(*) AS number FROM items GROUP BY state

-- name: items_scoped
-- Unfinished items with a scope, oldest first.
SELECT id, state, repo, scope FROM items INDEXED BY items_scoped
WHERE scope <> '[]' AND state IN ('blocked', 'delayed', 'ready', 'leased', 'waiting') ORDER BY seq

-- name: deps_insert
-- One dependency; a foreign key refuses what does not exist.
INSERT INTO deps (item, needs, position) VALUES (:item, :needs, :position)

-- name: deps_clear
-- Before an operator's new list is written.
DELETE FROM deps WHERE item = :item

-- name: deps_unfinished
-- What an item needs and that is not done.
SELECT items.id, items.state FROM deps JOIN items ON items.id = deps.needs
WHERE deps.item = :item AND items.state <> 'done' ORDER BY deps.position

-- name: deps_held_up
-- What waits for something that has failed, and holds.
SELECT deps.item, deps.needs, need.state
FROM items JOIN deps ON deps.item = items.id JOIN items AS need ON need.id = deps.needs
WHERE items.state = 'blocked' AND items.on_failure = 'hold' AND need.state IN ('parked', 'cancelled')
ORDER BY items.fresh, items.rank_at, items.seq LIMIT :limit

-- name: deps_of
-- What an item needs, finished or not.
SELECT needs FROM deps WHERE item = :item ORDER BY position

-- name: dependants_blocked
-- Items that wait for this one.
SELECT items.id, items.reason, items.not_before, items.on_failure FROM deps JOIN items ON items.id = deps.item
WHERE deps.needs = :needs AND items.state = 'blocked'

-- name: item_rest
-- A blocked item whose dependencies changed.
UPDATE items SET state = :state, reason = :reason, updated_at = :now WHERE id = :id AND state = 'blocked'
