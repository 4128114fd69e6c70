-- Parts of a numeric space, half-open, that are clean, being looked at, or known to fail. What has no row is a gap: it
-- was not looked at, or has to be again. `epoch` goes up when a space is begun anew.
CREATE TABLE ranges (
  id INTEGER PRIMARY KEY,
  space TEXT NOT NULL CHECK (space <> ''),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  low INTEGER NOT NULL,
  high INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('clean', 'claimed', 'known')),
  item TEXT REFERENCES items (id),
  at INTEGER NOT NULL,
  UNIQUE (space, epoch, low),
  CHECK (low < high)
) STRICT;

-- Ranges do not overlap, so the one before and the one after are all that can be in the way.
CREATE TRIGGER ranges_new BEFORE INSERT ON ranges
WHEN (SELECT high FROM ranges WHERE space = NEW.space AND epoch = NEW.epoch AND low < NEW.high
      ORDER BY low DESC LIMIT 1) > NEW.low
BEGIN
  SELECT raise(ABORT, 'ranges overlap');
END;
CREATE TRIGGER ranges_move BEFORE UPDATE OF space, epoch, low, high ON ranges
WHEN (SELECT high FROM ranges WHERE space = NEW.space AND epoch = NEW.epoch AND low < NEW.high AND id <> OLD.id
      ORDER BY low DESC LIMIT 1) > NEW.low
BEGIN
  SELECT raise(ABORT, 'ranges overlap');
END;
