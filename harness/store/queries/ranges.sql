-- Ranges of numeric spaces: clean, claimed, known; what has no row is a gap.

-- name: ranges_of
-- Those that touch a part of a space, in order.
SELECT low, high, state, item FROM ranges
WHERE space = :space AND epoch = :epoch AND low < :high AND high > :low
  AND low >= coalesce((SELECT max(low) FROM ranges WHERE space = :space AND epoch = :epoch AND low <= :low), :low)
ORDER BY low

-- name: range_insert
-- Refused by the database if it overlaps another.
INSERT INTO ranges (space, epoch, low, high, state, item, at) VALUES (:space, :epoch, :low, :high, :state, :item, :now)

-- name: range_free
-- One that is claimed, exactly as it was claimed.
DELETE FROM ranges WHERE space = :space AND epoch = :epoch AND low = :low AND high = :high AND state = 'claimed'

-- name: range_beside
-- Clean ranges that end where a new one begins, or begin where it ends, become part of it.
DELETE FROM ranges
WHERE space = :space AND epoch = :epoch AND state = 'clean'
  AND low IN (
    :high,
    (SELECT low FROM ranges WHERE space = :space AND epoch = :epoch AND low < :low ORDER BY low DESC LIMIT 1))
  AND (low = :high OR high = :low)
RETURNING low, high

-- name: range_epoch
-- How often a space was begun anew.
SELECT coalesce(max(epoch), 0) AS epoch FROM ranges WHERE space = :space
