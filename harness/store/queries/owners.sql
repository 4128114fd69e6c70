-- name: owner_has_ended
-- A row if the owner has ended, by its own word or by that of whoever took it for dead.
SELECT 1 FROM owners WHERE owner = :owner AND ended_at IS NOT NULL
