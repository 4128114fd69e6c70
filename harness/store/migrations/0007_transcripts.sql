-- The level of isolation that a run reached; whether the transcript of a session was looked through for secrets. That it
-- was is said by the journal alone, so that the two cannot differ.
ALTER TABLE runs ADD COLUMN isolation TEXT;
ALTER TABLE sessions ADD COLUMN scrubbed INTEGER NOT NULL DEFAULT 0 CHECK (scrubbed IN (0, 1));
CREATE INDEX sessions_unscrubbed ON sessions (seq) WHERE scrubbed = 0;
CREATE TRIGGER sessions_scrub AFTER INSERT ON journal WHEN NEW.kind = 'transcript.scrubbed'
BEGIN
  UPDATE sessions SET scrubbed = 1 WHERE id = NEW.session;
END;
