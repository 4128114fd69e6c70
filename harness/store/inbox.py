"""Everything in a home that people may write over: the queue file, the files of questions. One look takes it all in."""

from __future__ import annotations

from datetime import datetime

from harness.model.home import Home
from harness.model.itemform import Form
from harness.store.decision_files import DecisionFiles
from harness.store.mirror import Absorbed, QueueMirror
from harness.store.sqlite import SqliteStore


class Inbox:
    """Both directions of all of them. Blocking; used where the store is used."""

    def __init__(self, home: Home, store: SqliteStore) -> None:
        self._queue = QueueMirror(home.queue_file, store)
        self._decisions = DecisionFiles(home.decisions, store)

    def absorb(self, now: datetime, actor: str, form: Form) -> Absorbed:
        """What became of edits of any of the files. Answers first: they are about what is there already."""
        problems = self._decisions.absorb(now, actor)
        taken = self._queue.absorb(now, actor, form)
        taken.problems[:0] = problems
        return taken

    def export(self, now: datetime, *, last: bool = False) -> None:
        """Write what changed, within the limits of frequency but for the `last` time of a loop."""
        self._decisions.export(now)
        self._queue.export(now, last=last)
