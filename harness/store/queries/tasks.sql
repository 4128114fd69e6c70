-- name: task_highest
-- The highest task-NNN there is; asked once, for the number after it is kept.
SELECT id FROM items WHERE id >= 'task-' AND id < 'task.' AND id NOT GLOB 'task-*[^0-9]*'
ORDER BY length(id) DESC, id DESC LIMIT 1
