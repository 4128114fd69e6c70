-- name: journal_insert
-- One fact of the loop.
INSERT INTO journal (at, kind, actor, item, session, data) VALUES (:at, :kind, :actor, :item, :session, :data)

-- name: journal_all
-- Facts in the order they happened.
SELECT * FROM journal WHERE seq > :after ORDER BY seq LIMIT :limit

-- name: journal_of_item
-- Facts about one item, or about one session of it.
SELECT * FROM journal WHERE item = :item AND (:session IS NULL OR session = :session) AND seq > :after
ORDER BY seq LIMIT :limit

-- name: journal_of_session
-- Facts about one session.
SELECT * FROM journal WHERE session = :session AND seq > :after ORDER BY seq LIMIT :limit

-- name: journal_head
-- The number of the newest fact.
SELECT coalesce(max(seq), 0) AS seq FROM journal

-- name: run_insert
-- One start of the loop.
INSERT INTO runs (run, pid, version, began_at, isolation, began_seq)
VALUES (:run, :pid, :version, :now, :isolation, (SELECT coalesce(max(seq), 0) + 1 FROM journal))

-- name: run_end
-- Its end.
UPDATE runs SET ended_at = :now, reason = :reason, iterations = :iterations WHERE run = :run

-- name: mirror_get
-- What a mirrored file held when we last wrote or absorbed it.
SELECT sha256, base FROM mirror WHERE path = :path

-- name: mirror_put
-- What it holds now.
INSERT INTO mirror (path, sha256, base, at) VALUES (:path, :sha256, :base, :now)
ON CONFLICT (path) DO UPDATE SET sha256 = excluded.sha256, base = excluded.base, at = excluded.at

-- name: reach_get
-- What a full mirror of the queue showed.
SELECT value FROM meta WHERE key = 'mirror.reach'

-- name: reach_put
-- What it shows now.
INSERT INTO meta (key, value) VALUES ('mirror.reach', :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- name: reach_holds
-- Whether each item that an entry has spoken of since was added then, and stands behind that one.
SELECT NOT EXISTS (
  SELECT 1 FROM journal JOIN items ON items.id = journal.item
  WHERE journal.seq > :head
    AND NOT (journal.kind = 'item.added'
             AND (items.fresh, items.rank_at, items.seq) > (last.fresh, last.rank_at, last.seq))) AS holds
FROM items AS last WHERE last.id = :last
