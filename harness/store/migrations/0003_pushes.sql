-- What an integration was, and whether its remote has it: wanted is written with the intent, so no crash forgets it.
ALTER TABLE integrations ADD COLUMN kind TEXT NOT NULL DEFAULT 'work' CHECK (kind IN ('work', 'sync', 'rollback'));
ALTER TABLE integrations ADD COLUMN push TEXT NOT NULL DEFAULT 'none' CHECK (push IN ('none', 'wanted', 'pushed'));
ALTER TABLE integrations ADD COLUMN push_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX integrations_unpushed ON integrations (id) WHERE push = 'wanted';
