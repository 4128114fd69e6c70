"""What happened, and the runs of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from harness.model.errors import NotFound
from harness.model.journal import Entry
from harness.store import rows
from harness.store.database import Database


class Journal(Database):
    """Append-only facts; everything else in the store writes its own in the transaction of the change."""

    def note(self, entry: Entry) -> None:
        with self.together():
            self.record(entry)

    def journal(
        self, *, item: str | None = None, session: str | None = None, after: int = 0, limit: int = 200
    ) -> Sequence[Entry]:
        """Entries after a number, oldest first; of one item or one session."""
        if item is not None:
            found = self.all("journal_of_item", item=item, session=session, after=after, limit=limit)
        elif session is not None:
            found = self.all("journal_of_session", session=session, after=after, limit=limit)
        else:
            found = self.all("journal_all", after=after, limit=limit)
        return [rows.entry(row) for row in found]

    def journal_head(self) -> int:
        """The number of the newest entry: it moves with every change of an item."""
        head = self.one("journal_head")
        return head["seq"] if head else 0

    def begin_run(self, run: str, *, pid: int, version: str, now: datetime) -> None:
        with self.together():
            self.run("run_insert", run=run, pid=pid, version=version, now=rows.ms(now))
            self.record(Entry(now, "run.begun", "loop", data={"run": run, "pid": pid, "version": version}))

    def end_run(self, run: str, *, reason: str, iterations: int, now: datetime) -> None:
        with self.together():
            if not self.run("run_end", run=run, reason=reason, iterations=iterations, now=rows.ms(now)):
                raise NotFound(f"no such run: {run}", hint="./loop status")
            data = {"run": run, "reason": reason, "iterations": iterations}
            self.record(Entry(now, "run.ended", "loop", data=data))

    def mirror_base(self, path: str) -> tuple[str, str] | None:
        """Digest and content of a mirrored file when we last wrote or absorbed it."""
        row = self.one("mirror_get", path=path)
        return None if row is None else (row["sha256"], row["base"])

    def keep_mirror_base(self, path: str, sha256: str, base: str, now: datetime) -> None:
        with self.together():
            self.run("mirror_put", path=path, sha256=sha256, base=base, now=rows.ms(now))
