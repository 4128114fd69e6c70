"""`state/queue.json` under the engine: what people wrote is taken in, what is queued is shown (contract 2, H47)."""

from __future__ import annotations

from harness.config.load import Loaded
from harness.model.home import Home
from harness.model.journal import Entry
from harness.ops.forms import form_of
from harness.ports import Clock, Store
from harness.store.mirror import QueueMirror
from harness.store.sqlite import SqliteStore


class EngineMirror:
    """Implements engine.surroundings.Mirror; called on the store thread."""

    def __init__(self, home: Home, loaded: Loaded, clock: Clock) -> None:
        self._home = home
        self._form = form_of(loaded, "file:queue.json")
        self._actor = loaded.actor
        self._clock = clock

    def take(self, loaded: Loaded) -> None:
        """Judge edits by this configuration from now on."""
        self._form, self._actor = form_of(loaded, "file:queue.json"), loaded.actor

    def absorb(self, store: Store) -> None:
        now = self._clock.now()
        taken = self._mirror(store).absorb(now, self._actor, self._form)
        for problem in taken.problems:
            store.note(
                Entry(now, "queue.problem", self._actor, data={"file": str(self._home.queue_file), "reason": problem})
            )

    def export(self, store: Store) -> None:
        self._mirror(store).export(self._clock.now())

    def close(self, store: Store) -> None:
        self._mirror(store).export(self._clock.now(), last=True)

    def _mirror(self, store: Store) -> QueueMirror:
        assert isinstance(store, SqliteStore)
        if self._kept is None:
            self._kept = QueueMirror(self._home.queue_file, store)
        return self._kept

    _kept: QueueMirror | None = None
