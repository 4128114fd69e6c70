-- name: reservation_put
-- What the session of an attempt may cost.
INSERT INTO reservations (attempt, kind, usd) VALUES (:attempt, :kind, :usd)
ON CONFLICT (attempt) DO UPDATE SET kind = excluded.kind, usd = excluded.usd

-- name: reserved_by_others
-- What is held back for attempts of other owners that go on; as many rows as there are leases, at most.
SELECT reservations.kind, reservations.usd
FROM items
JOIN attempts ON attempts.item = items.id AND attempts.fence = items.fence
JOIN reservations ON reservations.attempt = attempts.id
WHERE items.state = 'leased' AND items.owner <> :owner

-- name: spent_by_others
-- What attempts of other owners cost that ended after an entry of the journal; as reserved where nobody knows.
SELECT items.kind, coalesce(
  json_extract(sessions.metrics, '$.estimated_cost_usd'), json_extract(sessions.metrics, '$.cost_usd'),
  reservations.usd) AS usd
FROM attempts
JOIN sessions ON sessions.item = attempts.item AND sessions.fence = attempts.fence
JOIN items ON items.id = attempts.item
LEFT JOIN reservations ON reservations.attempt = attempts.id AND sessions.role = 'work'
WHERE attempts.ended_seq > :after AND attempts.owner <> :owner AND usd IS NOT NULL

-- name: journal_end
-- The number of the newest entry.
SELECT coalesce(max(seq), 0) AS seq FROM journal
