"""The store: the truth, and the engine's way to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from harness.model.budget import Others
from harness.model.decision import NO_DEADLINE, Deadline, Decision
from harness.model.journal import AttemptRow, Committed, Entry, Followup, Integration, PastEnd, Pause
from harness.model.outcome import Disposition, Outcome
from harness.model.schedule import Due, Firing, Rule, Standing
from harness.model.session import SessionRow, SessionStatus
from harness.model.work import Apart, Continuation, Lease, Phase, WorkItem, WorkState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Added:
    """Answer to adding one item: applied, or why not (`detail` names the state of the item that exists)."""

    id: str
    applied: bool
    detail: str


@dataclass(frozen=True, slots=True)
class RepositoryRules:
    """For items of one repository: `running` at most (None = no cap), `resources` that each of them takes besides its
    own, and whether those whose scopes overlap run one after the other.
    """

    running: int | None = None
    resources: tuple[str, ...] = ()
    one_scope: bool = True


@dataclass(frozen=True, slots=True)
class LeaseRules:
    """What a lease must respect besides stored pauses. Lane caps: name -> running at most (None = no cap).

    `only` names the items that may still be leased (a course at its end resumes what it interrupted); None = any.
    A repository without rules has the usual ones.
    """

    actor: str
    lane_caps: Mapping[str, int | None]
    default_repository: str | None = None
    only: tuple[str, ...] | None = None
    repositories: Mapping[str, RepositoryRules] = field(default_factory=dict)

    def of(self, repo: str | None) -> RepositoryRules:
        """The rules for an item's repository; `repo` None = the default one."""
        return self.repositories.get(repo or self.default_repository or "", RepositoryRules())


@dataclass(frozen=True, slots=True)
class Settlement:
    """Everything one settle writes in one transaction.

    `seen` is the status of the session when its evidence was read, for whoever settles another's lease; None = our own.
    `deadline` is that of the question.
    """

    outcome: Outcome
    disposition: Disposition
    session: SessionRow | None = None
    attempt: Mapping[str, Any] | None = None
    question: tuple[str, tuple[str, ...]] | None = None
    deadline: Deadline = NO_DEADLINE
    reviews: tuple[SessionRow, ...] = ()
    seen: SessionStatus | None = None


@dataclass(frozen=True, slots=True)
class Orphan:
    """A lease whose owner is dead, with its attempt and the last session of its work; `boot` is the one that the owner
    lived in, `reviews` are sessions of reviews that have no end on record.
    """

    lease: Lease
    attempt: AttemptRow
    session: SessionRow | None
    boot: str | None = None
    reviews: tuple[SessionRow, ...] = ()


class Store(Protocol):
    """The truth. Blocking; every method is one transaction; times are the caller's. The engine calls it on the store
    thread; a face calls it directly. Raises StoreError; DiskFull; LeaseLost for a write of an older fence.
    """

    # items
    def add(
        self, items: Sequence[WorkItem], *, actor: str, now: datetime, apart: Apart | None = None
    ) -> Sequence[Added]:
        """An item whose scope overlaps that of an unfinished one is not added where `apart` says so."""
        ...

    def item(self, item: str) -> WorkItem | None: ...
    def items(
        self, *, states: Sequence[WorkState] = (), limit: int = 50, after: str | None = None
    ) -> Sequence[WorkItem]:
        """In the order of the queue: leased, resumed, then by rank; finished ones last, newest first."""
        ...

    def counts(self) -> Mapping[WorkState, int]: ...
    def update(self, item: str, changes: Mapping[str, Any], *, actor: str, now: datetime) -> WorkItem:
        """Change what an operator may change (title, priority, …). Raises NotFound, Refused if leased."""
        ...

    def move(self, item: str, state: WorkState, reason: str, *, actor: str, now: datetime) -> WorkItem:
        """An operator's move (remove, park, retry, unpark). Raises NotFound, IllegalMove, Refused if leased.
        To ready: `max_attempts` becomes at least attempts + 1 (architecture 6).
        """
        ...

    def carry(self, item: str, continuation: Continuation, *, actor: str, now: datetime) -> WorkItem:
        """Where the next lease goes on, by an operator's will. Raises NotFound, Refused if leased."""
        ...

    # hand work
    def take(self, item: str, person: str, *, actor: str, now: datetime) -> WorkItem:
        """Give an item to a person: assigned, waiting, no lease. Taken already by that person: as it is.
        Raises NotFound, Refused if leased, finished, or with another person.
        """
        ...

    def give_back(self, item: str, continuation: Continuation | None, *, actor: str, now: datetime) -> WorkItem:
        """A person's item goes back to the queue, unassigned. Raises NotFound, Refused if nobody has it."""
        ...

    def lease_by_hand(
        self,
        owner: str,
        item: str,
        default_repository: str | None,
        now: datetime,
        repositories: Mapping[str, RepositoryRules] | None = None,
    ) -> Lease:
        """Lease what a person hands in, to prove it. Raises NotFound, Refused if nobody has it, it is leased, or
        another item has a resource that it needs.
        """
        ...

    # questions to a person
    def decisions(self, item: str) -> Sequence[Decision]:
        """The questions of one item, oldest first."""
        ...

    def answer(self, decision: int, text: str, *, by: str, via: str, now: datetime) -> Decision:
        """A person's answer, by command or file; the item is ready then. Raises NotFound, Usage; Refused if it is
        answered already, or its item went on without it.
        """
        ...

    def expire(self, now: datetime) -> Sequence[Decision]:
        """What nobody answered by its deadline gets its end: skipped, or the first option."""
        ...

    def next_deadline(self) -> datetime | None:
        """When the next open question is over."""
        ...

    # leases
    def register(self, owner: str, *, pid: int, boot: str, start: int, kind: str, now: datetime) -> None: ...
    def lease(self, owner: str, rules: LeaseRules, now: datetime) -> Lease | None: ...
    def phase(self, lease: Lease, phase: Phase, now: datetime, **facts: Any) -> None:
        """Record how far the attempt is; facts: base, seal, workspace, commits, verdicts."""
        ...

    def settle(self, lease: Lease, settlement: Settlement, now: datetime) -> WorkItem: ...
    def orphans(self, dead: Sequence[str]) -> Sequence[Orphan]:
        """Leases whose owner is in `dead`; changes nothing: the reconciler settles each through its lease."""
        ...

    def owners(self) -> Sequence[str]:
        """Owners that hold a lease or are registered and not ended."""
        ...

    def forget(self, owner: str, now: datetime) -> None:
        """The owner has ended; it holds no lease any more."""
        ...

    def next_wake(self, now: datetime) -> datetime | None:
        """When the next delayed item becomes ready or the next pause may be probed."""
        ...

    # sessions and attempts
    def open_session(self, lease: Lease, session: SessionRow) -> None: ...
    def update_session(self, session: SessionRow) -> None: ...
    def mark_session(self, session: SessionRow, *, actor: str, now: datetime) -> None:
        """A person's word over what is written, also over a final row. Raises NotFound."""
        ...

    def session(self, session: str) -> SessionRow | None: ...
    def sessions(self, *, item: str | None = None, live: bool = False, limit: int = 50) -> Sequence[SessionRow]: ...
    def unscrubbed(self, *, item: str | None = None, after: str = "", limit: int = 50) -> Sequence[SessionRow]:
        """Ended sessions of done items without a `transcript.scrubbed` in the journal, oldest first; after an id."""
        ...

    def attempts(self, item: str) -> Sequence[AttemptRow]: ...

    def spent(self, *, since: datetime | None = None, item: str | None = None) -> Mapping[str, Decimal]:
        """US dollars by kind of work, exact; sessions of unknown cost are left out."""
        ...

    def sums(self, since: datetime) -> tuple[Mapping[str, Decimal], Mapping[str, Decimal], int]:
        """What was spent at all and since the begin of a day, by kind, and up to which entry of the journal."""
        ...

    def reserve(self, lease: Lease, usd: Decimal, after: int, judge: Callable[[Others], T | None]) -> T | None:
        """Hold back what the session of a lease may cost, unless `judge` says something of what other owners have
        reserved, and spent in attempts that ended after an entry of the journal.
        """
        ...

    def streak(self, limit: int) -> Sequence[AttemptRow]:
        """The latest counted attempts, newest first, up to one that ended well or to the last loop pause by file."""
        ...

    def recent_ends(self, limit: int, since: datetime | None = None) -> Sequence[PastEnd]:
        """How sessions among the newest `limit` leases ended, all or `since` a time, oldest first: what breakers
        remember over a start.
        """
        ...

    def begin_waits_anew(self, now: datetime) -> int:
        """The clock was set back: waits of ours that were set after `now` get their length from now on; how many."""
        ...

    # pauses
    def open_pause(
        self, scope: str, kind: str, reason: str, source: str, now: datetime, until: datetime | None = None
    ) -> Pause:
        """Idempotent per (scope, source): an open one gets the new reason and time."""
        ...

    def close_pause(self, scope: str, source: str | None, by: str, now: datetime) -> int: ...
    def pauses(self) -> Sequence[Pause]: ...

    # integrations
    def intend(self, integration: Integration) -> Integration:
        """Write the intent. Raises LeaseLost if the item has been leased again since (`fence`)."""
        ...

    def resolve(self, integration: int, state: str, now: datetime, **facts: Any) -> Integration: ...
    def integrations(self, *, item: str | None = None, states: Sequence[str] = ()) -> Sequence[Integration]: ...
    def publish(self, integrations: Sequence[int], push: str, reason: str, now: datetime) -> None:
        """Whether these are at their remote (`push` none, wanted, pushed), and why not."""
        ...

    def integrated(self, run: str) -> Sequence[Integration]:
        """Work that came to its branch during a run, oldest first. Raises NotFound."""
        ...

    def unpushed(self) -> Sequence[Integration]:
        """Integrated, and not at the remote yet; oldest first."""
        ...

    # what follows them
    def followups(self, *, item: str | None = None) -> Sequence[Followup]:
        """Those that are wanted; with `item` all of that item. Oldest first."""
        ...

    def builds(self, repo: str, limit: int) -> Sequence[Followup]:
        """Builds of a repository that came to an end, newest first."""
        ...

    def commits(self, after: int, limit: int) -> tuple[Sequence[Committed], int]:
        """What came to a branch or a remote after an entry of the journal, oldest first, and how far that looked."""
        ...

    def follow(self, followups: Sequence[int], state: str, reason: str, now: datetime, made: str | None = None) -> None:
        """What became of these: wanted (why not yet), done, failed, dropped; `made` is the item that it added."""
        ...

    def settle_held(self, item: str, state: WorkState, reason: str, outcome: str, now: datetime) -> WorkItem:
        """The end of an item that waited for its integration (checkout in the way, merge apply)."""
        ...

    # what recurs
    def standings(self) -> Mapping[str, Standing]:
        """How far each schedule has been looked at, by name."""
        ...

    def begin_schedule(self, rule: Rule, now: datetime) -> Standing:
        """Look at slots and events from now on: a schedule that is new or has another trigger, or a clock set back."""
        ...

    def forget_schedule(self, schedule: str, now: datetime) -> None:
        """It is configured no more; written again, it begins anew."""
        ...

    def fire(
        self, schedule: str, due: Due, item: WorkItem | None, *, seq: int | None, actor: str, now: datetime
    ) -> Firing | None:
        """A slot's item, or its command (None), and how far was looked (`seq`; None for a person, who did not look).
        None if the slot had its turn already.
        """
        ...

    def open_commands(self) -> Sequence[Firing]:
        """Commands of schedules that are wanted or begun, oldest first."""
        ...

    def begin_command(self, firing: int, now: datetime) -> bool:
        """Once more; whether it is still to be run."""
        ...

    def end_command(self, firing: int, state: str, reason: str, now: datetime, log: str | None = None) -> None:
        """What became of it: done, failed, dropped; or wanted, if it was called off in order and does not count."""
        ...

    # journal, runs
    def note(self, entry: Entry) -> None: ...
    def journal(
        self, *, item: str | None = None, session: str | None = None, after: int = 0, limit: int = 200
    ) -> Sequence[Entry]: ...
    def begin_run(self, run: str, *, pid: int, version: str, now: datetime, isolation: str | None = None) -> None:
        """`isolation` is the level that was reached."""
        ...

    def end_run(self, run: str, *, reason: str, iterations: int, now: datetime) -> None: ...
    def written(self) -> Sequence[Entry]:
        """Entries committed through this object since the last call: what the engine hands to telemetry."""
        ...

    def changed(self) -> bool:
        """Whether another connection has committed since the last call (PRAGMA data_version)."""
        ...

    def close(self) -> None: ...


class Books(Protocol):
    """The engine's way to the store: calls run in order on the store thread; a started call is never cancelled."""

    async def __call__(self, call: Callable[[Store], T]) -> T: ...
