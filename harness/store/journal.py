"""What happened, and the runs of the loop."""

from __future__ import annotations

from datetime import datetime

from harness.model.errors import NotFound
from harness.model.journal import Entry
from harness.store import rows
from harness.store.reader import StoreReader


class Journal(StoreReader):
    """Append-only facts; everything else in the store writes its own in the transaction of the change."""

    def note(self, entry: Entry) -> None:
        with self.together():
            self.record(entry)

    def begin_run(self, run: str, *, pid: int, version: str, now: datetime, isolation: str | None = None) -> None:
        with self.together():
            self.run("run_insert", run=run, pid=pid, version=version, now=rows.ms(now), isolation=isolation)
            data = {"run": run, "pid": pid, "version": version}
            data |= {"isolation": isolation} if isolation is not None else {}
            self.record(Entry(now, "run.begun", "loop", data=data))

    def end_run(self, run: str, *, reason: str, iterations: int, now: datetime) -> None:
        with self.together():
            if not self.run("run_end", run=run, reason=reason, iterations=iterations, now=rows.ms(now)):
                raise NotFound(f"no such run: {run}", hint="./loop status")
            data = {"run": run, "reason": reason, "iterations": iterations}
            self.record(Entry(now, "run.ended", "loop", data=data))

    def keep_mirror_base(self, path: str, sha256: str, base: str, now: datetime) -> None:
        with self.together():
            self.run("mirror_put", path=path, sha256=sha256, base=base, now=rows.ms(now))

    def keep_mirror_reach(self, sha256: str, head: int, last: str) -> None:
        """A full mirror of that digest shows what was so at entry `head`, down to item `last`."""
        with self.together():
            self.run("reach_put", value=rows.packed([sha256, head, last]))
