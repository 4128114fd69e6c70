"""Facts of the loop itself. An entry is written in the same transaction as the change it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """`kind` is `noun.verb` (item.leased, session.ended, integration.applied, pause.opened …)."""

    at: datetime
    kind: str
    actor: str
    item: str | None = None
    session: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Something that must not be leased. `scope`: loop, credential, repo:NAME, kind:NAME, item:ID.

    `kind` says what clears it: `file` (the interrupt file is removed), `probe` (one lease may try after `until`),
    `condition` (the loop looks again by itself, as with the disk), `operator`. Two kinds keep only new work out, what
    runs goes on: `hold` (its time comes, or the loop sees that the cause is gone), and `reserve`, which leaves urgent
    work in.
    """

    id: int
    scope: str
    kind: str
    reason: str
    source: str
    began_at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Integration:
    """Bringing sealed commits to the target branch. The row is written before anything moves (intent first).

    `state`: intended, applied, held (waits for the checkout or a person), aborted. `merged` is what the branch became.
    `kind`: work; sync = what the remote had besides was merged in; rollback = work was taken back. `push`: none, wanted
    (not there yet; `push_reason` says why), pushed. `followed_by`: (step, target) of what follows once it is applied.
    """

    id: int
    item: str
    fence: int
    repo: str
    branch: str
    base: str
    seal: str
    state: str
    merged: str | None = None
    reason: str = ""
    paths: tuple[str, ...] = ()
    began_at: datetime | None = None
    ended_at: datetime | None = None
    kind: str = "work"
    push: str = "none"
    push_reason: str = ""
    followed_by: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Followup:
    """A step after an integration, on record with the move of the branch; `merged` and the rest are the integration's.

    `step`: review, pull, build; `target` is the folder of a pull. `state`: wanted (`reason` says why it is not done
    yet, empty if it was not tried), done, failed (a build), dropped (not wanted any more). `made`: the item it added.
    """

    id: int
    integration: int
    item: str
    repo: str
    branch: str
    base: str
    merged: str
    step: str
    target: str = ""
    state: str = "wanted"
    reason: str = ""
    made: str | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def sentence(self) -> str:
        """For people: what it is, of what, and why it is as it is."""
        what = f"pull into {self.target}" if self.step == "pull" else f"{self.step} of {self.merged[:12]}"
        word = {"wanted": "outstanding"}.get(self.state, self.state)
        return f"{what} on {self.branch} of {self.repo} {word}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit that came to a branch (`event` integrated) or to a remote (pushed); `seq` is its entry of the journal.

    `what`: work, sync or rollback, as in Integration; `kind`, `title` and `source` are the item's.
    """

    seq: int
    at: datetime
    event: str
    item: str
    kind: str
    title: str
    repo: str
    branch: str
    base: str
    commit: str
    what: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One lease to one disposition, as `why` and the next prompt tell it."""

    id: int
    item: str
    fence: int
    owner: str
    phase: str
    number: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    ending: str | None = None
    cause: str | None = None
    counted: bool = False
    sentence: str = ""
    evidence: str = ""
    base: str | None = None
    seal: str | None = None
    workspace: str | None = None
    commits: tuple[str, ...] = ()
    verdicts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class PastEnd:
    """How a settled session ended, as breakers remember it over a start of the loop.

    `outcome` and `ending` as in the attempt; `ran`: its agent was heard to work; `cleared`: the interrupt file has gone
    away since, by a person's will.
    """

    item: str
    session: str
    model: str | None
    outcome: str
    ending: str | None
    ended_at: datetime
    ran: bool
    cleared: bool
