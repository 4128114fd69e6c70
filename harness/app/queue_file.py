"""What people write over, under the engine: edits and answers are taken in, queue and questions shown (H47, C11)."""

from __future__ import annotations

from harness.config.load import Loaded
from harness.model.home import Home
from harness.model.journal import Entry
from harness.ops.forms import form_of
from harness.ports import Clock, Store
from harness.store.inbox import Inbox
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
        for problem in self._inbox(store).absorb(now, self._actor, self._form).problems:
            noun = problem.partition(":")[0].partition("/")[0]
            kind = {"decisions": "decision.problem", "tasks": "tasks.problem"}.get(noun, "queue.problem")
            store.note(Entry(now, kind, self._actor, data={"reason": problem}))

    def export(self, store: Store) -> None:
        self._inbox(store).export(self._clock.now(), self._actor, self._form)

    def close(self, store: Store) -> None:
        self._inbox(store).export(self._clock.now(), self._actor, self._form, last=True)

    def _inbox(self, store: Store) -> Inbox:
        assert isinstance(store, SqliteStore)
        if self._kept is None:
            self._kept = Inbox(self._home, store)
        return self._kept

    _kept: Inbox | None = None
