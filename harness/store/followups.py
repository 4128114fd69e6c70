"""What follows an integration: wanted with the move of the branch, and done once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from harness.model.journal import Committed, Entry
from harness.store import rows
from harness.store.database import known
from harness.store.integrations import Integrations


class Followups(Integrations):
    def follow(self, followups: Sequence[int], state: str, reason: str, now: datetime, made: str | None = None) -> None:
        """What became of these: wanted (why not yet), done, failed, dropped. What is said already is not said again,
        and what has come to an end stays as it is. Raises NotFound.
        """
        with self.together():
            for number in followups:
                before = rows.followup(known(self.one("followup_get", id=number), "follow-up", str(number)))
                if before.state != "wanted" or (before.state, before.reason) == (state, reason):
                    continue
                ended = None if state == "wanted" else rows.ms(now)
                self.run("followup_settle", id=number, state=state, reason=reason, made=made, ended_at=ended)
                data: dict[str, str | None] = {
                    "step": before.step,
                    "repo": before.repo,
                    "branch": before.branch,
                    "commit": before.merged,
                }
                data |= {"target": before.target or None, "reason": reason, "added": made}
                kind = "followup.waits" if state == "wanted" else f"followup.{state}"
                said = {key: value for key, value in data.items() if value is not None}
                self.record(Entry(now, kind, "loop", item=before.item, data=said))

    def commits(self, after: int, limit: int) -> tuple[Sequence[Committed], int]:
        """What came to a branch or a remote after an entry of the journal, oldest first, and how far that looked."""
        with self.snapshot():
            found = [rows.committed(row) for row in self.all("commits_after", after=after, limit=limit)]
            return found, found[-1].seq if len(found) == limit else self.journal_head()
