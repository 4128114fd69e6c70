-- What a session is for: the work of its item, or the review of what was sealed. A lease may have sessions of both.
ALTER TABLE sessions ADD COLUMN role TEXT NOT NULL DEFAULT 'work' CHECK (role IN ('work', 'review'));
