"""Everything in a home that people may write over: queue, tasks, questions. One look takes it all in."""

from __future__ import annotations

from datetime import datetime

from harness.model.home import Home
from harness.model.itemform import Form
from harness.store.decision_files import DecisionFiles
from harness.store.mirror import Absorbed, QueueMirror
from harness.store.sqlite import SqliteStore
from harness.store.task_files import Pages


class Inbox:
    """Both directions of all of them. Blocking; used where the store is used."""

    def __init__(self, home: Home, store: SqliteStore) -> None:
        self._queue = QueueMirror(home.queue_file, store)
        self._decisions = DecisionFiles(home.decisions, store)
        self._tasks = Pages(home.pages, home.state, store)

    def absorb(self, now: datetime, actor: str, form: Form, *, at_once: bool = False) -> Absorbed:
        """What became of edits of any of the files. Answers first: they are about what is there already. `at_once`:
        pages of tasks are whole, somebody says so.
        """
        answers = self._decisions.absorb(now, actor)
        taken = self._queue.absorb(now, actor, form)
        if form.task_files is not False:
            if form.task_files and not self._tasks.on:
                self._tasks.begin(now)
            taken.join(self._tasks.absorb(now, actor, form, at_once=at_once))
        taken.problems[:0] = answers
        return taken

    def begin_pages(self, now: datetime) -> None:
        """Keep the pages of tasks from now on."""
        self._tasks.begin(now)

    def export(self, now: datetime, actor: str, form: Form, *, last: bool = False) -> None:
        """Write what changed, within the limits of frequency but for the `last` time of a loop."""
        self._decisions.export(now)
        self._queue.export(now, last=last)
        if form.task_files is not False:
            self._tasks.export(now, actor, last=last)
