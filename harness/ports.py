"""Everything that can be exchanged, on one page. Ignore it unless you write an implementation or a test double.

The engine knows agents, gates, git, the store and the clock only through these; `harness.app` names the classes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

from harness.model.brief import Brief
from harness.model.events import AgentExit, SessionEvent, StopReason
from harness.model.journal import AttemptRow, Committed, Entry, Followup, Integration, PastEnd, Pause
from harness.model.outcome import Disposition, Outcome
from harness.model.session import SessionRow
from harness.model.verdict import Verdict
from harness.model.vitals import Look
from harness.model.work import Continuation, Lease, Phase, WorkItem, WorkState


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


# --- agents -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """The Desk's answer to an agent: accepted or not, and what the agent reads."""

    accepted: bool
    text: str


class Desk(Protocol):
    """What the agent can say to us in words and be answered at once (contract 9)."""

    async def report_progress(self, text: str) -> Reply: ...
    async def complete_work(self, status: str, summary: str) -> Reply: ...
    async def request_decision(self, question: str, options: Sequence[str]) -> Reply: ...
    async def add_work_item(self, item: Mapping[str, Any]) -> Reply: ...

    def settled(self) -> bool:
        """True when the agent has said how its work ended (complete_work or request_decision was accepted)."""
        ...


class AgentSession(Protocol):
    """One running agent process. Iterating never blocks the process; the stream ends when the session has ended."""

    @property
    def pid(self) -> int | None:
        """agent-init's pid: TERM to it ends the tree (contract 2); None before the start or without a process."""
        ...

    def events(self) -> AsyncIterator[SessionEvent]: ...
    async def stop(self, reason: StopReason, *, before_kill: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run the stop ladder, 10 s in all; `before_kill` is awaited before TERM (autosave). Idempotent."""
        ...

    async def exit(self) -> AgentExit:
        """The facts of the end; waits for it. After this returns no process of the session lives."""
        ...


class Agent(Protocol):
    """Turns a brief into a session. Leaving the context ends the whole process tree."""

    name: str

    def session(self, brief: Brief, desk: Desk) -> AbstractAsyncContextManager[AgentSession]: ...
    def warm(self) -> None:
        """Begin what makes the first session start sooner, without waiting for it. Idempotent."""
        ...

    def doctor(self) -> Sequence[Finding]:
        """What stands in the way of starting sessions: program, version, account. Never starts a session."""
        ...


class Containment(Protocol):
    """agent-init as an adapter needs it: how to start one for a brief, who it is, and its end (architecture 2)."""

    @property
    def launcher(self) -> Path:
        """The program to start in place of the agent's own; its arguments are the agent's."""
        ...

    def arm(self, brief: Brief, program: Path) -> Mapping[str, str]:
        """Write the session's spec for `program`; the variables agent-init needs. Raises HarnessError."""
        ...

    def pid(self, brief: Brief) -> int | None:
        """agent-init's pid while it lives and has said so."""
        ...

    async def end(self, brief: Brief, *, term_seconds: float) -> None:
        """TERM, then KILL of the whole tree; nothing to do for one that has ended. Returns when nobody lives."""
        ...

    def exit_code(self, brief: Brief) -> int | None:
        """agent-init's record of the end (128 + n for signal n); None if it never started or was killed itself."""
        ...


# --- git --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RepositoryRef:
    """A registered repository: `path` is its working tree (or bare folder), `branch` the target of integration."""

    name: str
    path: Path
    branch: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a git directory of its own, detached at `base` (a full sha of the registered repository)."""

    path: Path
    repo: RepositoryRef
    base: str
    item: str


@dataclass(frozen=True, slots=True)
class Autosave:
    """A dirty workspace as a commit under `ref`; `tree` tells whether anything changed since the last one."""

    ref: str
    commit: str
    tree: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """What the agent left: its head, the commits on the base, dirty paths (never `result.md`), the document.

    `problem` is why its commits cannot be taken over; then there are none.
    """

    head: str | None
    commits: tuple[str, ...]
    dirty: tuple[str, ...]
    document: Path | None
    diffstat: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """`base..HEAD` rewritten with our trailers, kept under refs/harness/<item>/sealed."""

    commit: str
    base: str
    commits: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ways:
    """How work and a branch that moved on are brought together, in this order (O12): rebase, merge, rerere, union,
    regenerate; agent and person stand for those who are asked when nothing else helps.

    `union` are globs whose files take the lines of both; `regenerate` globs with the command that makes such files.
    """

    order: tuple[str, ...] = ("merge",)
    union: tuple[str, ...] = ()
    regenerate: tuple[tuple[tuple[str, ...], str], ...] = ()

    @property
    def asking(self) -> tuple[str, ...]:
        """Whom to ask when nothing else helps, first to last."""
        return tuple(way for way in self.order if way in ("agent", "person"))

    @property
    def alone(self) -> tuple[str, ...]:
        """What is tried without asking anybody."""
        return tuple(way for way in self.order if way not in self.asking)


@dataclass(frozen=True, slots=True)
class Try:
    """One way that was tried: the files it left in conflict, and what its command said if that failed."""

    way: str
    left: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class Combined:
    """`commit` has both, or is None: then `left` are the files in conflict, `theirs` the commits of the branch."""

    commit: str | None
    tries: tuple[Try, ...] = ()
    left: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()


class Workspaces(Protocol):
    """Workspaces under state/worktrees. All git runs with the registered repository's GIT_DIR (architecture 6)."""

    async def prepare(
        self,
        repo: RepositoryRef,
        item: str,
        *,
        branch: str | None = None,
        wip_ref: str | None = None,
        commit: str | None = None,
    ) -> Workspace:
        """A clean workspace at the tip of `branch` (default: the target) or at `commit`, the content of `wip_ref` on
        top if given.

        An existing workspace of the item is saved before it is made anew. Raises GitError; NotFound if the folder of
        the repository is missing or no repository.
        """
        ...

    async def reopen(self, repo: RepositoryRef, item: str, base: str) -> Workspace | None:
        """The item's workspace as it was left, None if it is gone or broken."""
        ...

    async def equip(self, workspace: Workspace, include: Sequence[str]) -> None:
        """Bring files of the registered checkout that no commit has. Raises Refused."""
        ...

    async def setup_due(self, workspace: Workspace, commands: Sequence[str], inputs: Sequence[str]) -> bool:
        """Whether the set-up has to run: its commands or the files that `inputs` cover have changed."""
        ...

    async def setup_done(self, workspace: Workspace, commands: Sequence[str], inputs: Sequence[str]) -> None: ...
    async def state(self, workspace: Workspace) -> WorkspaceState: ...
    async def autosave(self, workspace: Workspace, session: str) -> Autosave | None:
        """Save the workspace as it is under refs/harness/<session>/wip/<n>. None if it equals the last save or base."""
        ...

    async def commit(self, workspace: Workspace, message: str, person: str) -> str:
        """Commit everything that stands there, in the name of a person. Raises GitError, Refused."""
        ...

    async def caught_up(self, workspace: Workspace, branch: str) -> Workspace:
        """As one that begins where its commits and `branch` part: a person may have merged the branch or rebased on it.
        Raises GitError, NotFound.
        """
        ...

    async def seal(self, workspace: Workspace, trailers: Sequence[tuple[str, str]]) -> Seal:
        """Fetch the agent's commits and rewrite them with trailers. Raises GitError if there is none."""
        ...

    async def document(self, workspace: Workspace, target: Path) -> Path | None:
        """Copy `result.md` (a regular file, at most 1 MiB) to `target`; None if there is none."""
        ...

    async def remove(self, workspace: Workspace) -> None:
        """Discard the folder. Raises Refused unless refs of ours hold its content."""
        ...

    async def put_away(self, item: str, is_wanted: Callable[[str], Awaitable[bool]]) -> bool:
        """Save and remove the workspace of an item, unless it is wanted; whether it went. Raises Refused."""
        ...

    async def prune(self, is_wanted: Callable[[str], Awaitable[bool]]) -> Sequence[Path]:
        """Save and remove the workspaces of items that are not wanted, and benches nobody uses; what was removed.

        An item is asked for while nobody can open its workspace. Raises GitError naming those that stay.
        """
        ...

    async def base_file(self, repo: RepositoryRef, commit: str, path: str) -> str | None:
        """A text file of a commit (CLAUDE.md, AGENTS.md), None if absent."""
        ...


class Upkeep(Protocol):
    """How much room workspaces take, and what their repositories keep of ours."""

    async def names(self) -> Sequence[str]:
        """The workspaces there are: a listing of folders."""
        ...

    async def sizes(self) -> Mapping[str, int]:
        """Bytes on disk by workspace, its caches included: every file is looked at, so not often."""
        ...

    async def drop_old_refs(self, repo: RepositoryRef, is_old: Callable[[str], Awaitable[bool]]) -> Sequence[str]:
        """Delete refs of items that are old, unless their kept work is on no branch; which. Raises GitError."""
        ...

    async def keep_bases(self, repo: RepositoryRef) -> None:
        """Let refs hold the commits that workspaces began at: `git gc` takes no object that one borrows."""
        ...


class Merger(Protocol):
    """Benches and the way to the target branch. Serial per repository: the caller holds the repository's turn."""

    async def tip(self, repo: RepositoryRef, branch: str) -> str: ...
    async def merge(self, repo: RepositoryRef, seal: Seal, onto: str) -> str:
        """The commit that has `onto` and the sealed work; the seal itself where that suffices. Raises Conflict."""
        ...

    async def combine(self, repo: RepositoryRef, seal: Seal, onto: str, ways: Ways) -> Combined:
        """As `merge`, in the ways that the configuration names; what was tried, and who is in the way."""
        ...

    def bench(self, repo: RepositoryRef, commit: str) -> AbstractAsyncContextManager[Path]:
        """A clean loop-owned checkout of `commit` for gates; gone afterwards."""
        ...

    async def advance(self, repo: RepositoryRef, branch: str, commit: str, expected: str) -> None:
        """Move the branch forward from `expected` to `commit`: `merge --ff-only` where it is checked out, else a
        compare-and-swap. Raises NotFastForward with the files in the way, or if the branch moved.
        """
        ...

    async def keep(self, repo: RepositoryRef, item: str, name: str, commit: str) -> str:
        """Point refs/harness/<item>/<name> (sealed, verified, claimed) at a commit; the full ref."""
        ...

    async def kept(self, repo: RepositoryRef, item: str, name: str) -> str | None: ...
    async def contains(self, repo: RepositoryRef, branch: str, commit: str) -> bool: ...
    async def has(self, repo: RepositoryRef, commit: str, ancestor: str) -> bool:
        """Whether `commit` is or comes after `ancestor`."""
        ...

    async def revert(self, repo: RepositoryRef, onto: str, base: str, commit: str, item: str) -> str:
        """A commit on `onto` that takes back what led from `base` to `commit`. Raises Conflict with the files that
        later work changed, Refused if nothing of it is left.
        """
        ...

    async def push(self, repo: RepositoryRef, branch: str, commit: str) -> str:
        """Bring `commit` to the branch of the remote, forward only; the remote's name. Done already is done.
        Raises PushFailed.
        """
        ...

    async def fetch(self, repo: RepositoryRef, branch: str) -> str | None:
        """The commit of the branch at the remote, fetched; None without such a branch. Raises PushFailed."""
        ...

    async def describe(self, repo: RepositoryRef, base: str, commit: str) -> Sequence[str]:
        """One line a commit (`sha subject`), oldest first."""
        ...


class Checkouts(Protocol):
    """Long-lived worktrees and clones of a registered repository, which somebody works or serves in (P4)."""

    async def forward(self, repo: RepositoryRef, branch: str, commit: str, folder: Path) -> str:
        """Fast-forward `folder` to `commit` of `branch`, never forced; where it was, empty if it had it already.

        Raises NotFound if it is no checkout, NotFastForward with the reason why it is left as it is, GitError.
        """
        ...


# --- gates ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A path that differs between base and head; `status` A, M, D or T as git has it (a rename is a D and an A)."""

    path: str
    status: str


class Change(Protocol):
    """What sealed work changes, read from git's objects: nothing of the agent's runs. Raises GitError."""

    @property
    def base(self) -> str: ...
    @property
    def head(self) -> str: ...
    async def files(self) -> Sequence[ChangedFile]: ...
    async def text(self, commit: str, path: str) -> str | None:
        """A text file of at most 1 MiB as it is in `commit`; None if it is absent or something else."""
        ...

    async def graft(self, onto: str, source: str, paths: Sequence[str]) -> str:
        """A commit like `onto`, but with `paths` as they are in `source` (gone if they are absent there)."""
        ...


@dataclass(frozen=True, slots=True)
class GateTerms:
    """How a gate is run.

    `proves`: a passed one makes work verified (else it is a guard, which can only object). `compares`: it looks at the
    change itself and is not run on the base. `checkout`: `GateCase.folder` is a clean checkout. `after`: it runs when
    the others have, and is told what they left. `retry`: red is run again so often, each time in a new checkout.
    `resources`: what no other gate of the loop may use meanwhile (R15).
    """

    proves: bool = True
    compares: bool = False
    checkout: bool = True
    after: bool = False
    retry: int = 0
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateCase:
    """What a gate judges: a checkout in `folder`, or the document at `document` (R13).

    `change` is None for a document and on the base. `elsewhere(commit, name)` opens the same case in a clean checkout
    of another commit, with a log of that name. `left`: gate -> paths it left behind in its checkout. `on`: head, base.
    """

    item: WorkItem
    folder: Path
    commit: str
    environment: Mapping[str, str]
    log: Path
    scratch: Path
    document: Path | None = None
    on: str = "head"
    change: Change | None = None
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)
    opener: Callable[[str, str], AbstractAsyncContextManager[GateCase]] | None = None
    leftovers: Callable[[], Awaitable[Sequence[str]]] | None = None

    def elsewhere(self, commit: str, name: str) -> AbstractAsyncContextManager[GateCase]:
        """Raises ValueError where there is no repository to open a commit of."""
        if self.opener is None:
            raise ValueError("this case has no other commits")
        return self.opener(commit, name)


class Ended(Protocol):
    """How a contained command ended; `code` 126 or 127 = it could not be started; `tail` the end of its output."""

    @property
    def code(self) -> int: ...
    @property
    def timed_out(self) -> bool: ...
    @property
    def seconds(self) -> float: ...
    @property
    def tail(self) -> str: ...


class Runner(Protocol):
    """Runs a command behind agent-init and returns when it and everything it started have ended (architecture 6)."""

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        session: str,
        folder: Path,
        timeout_seconds: float,
    ) -> Ended:
        """`env` is the whole environment, `session` this run's own mark, `folder` for spec, record and lock.
        Raises HarnessError.
        """
        ...


class Gate(Protocol):
    """A class of its own is made with (name, runner, kinds=…, and its options of the configuration)."""

    name: str
    kinds: tuple[str, ...]
    terms: GateTerms

    async def judge(self, case: GateCase) -> Verdict:
        """Raises DiskFull: no verdict can be had then."""
        ...


# --- prompts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prompt:
    text: str
    template: str
    sha256: str


class Prompts(Protocol):
    def render(self, template: str, variables: Mapping[str, Any]) -> Prompt:
        """Raises TemplateError with file and line; never returns a prompt with something missing (H5)."""
        ...

    def check(self, templates: Sequence[str]) -> None:
        """Raises TemplateError for the first template that is missing or does not compile."""
        ...


# --- store ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Added:
    """Answer to adding one item: applied, or why not (`detail` names the state of the item that exists)."""

    id: str
    applied: bool
    detail: str


@dataclass(frozen=True, slots=True)
class LeaseRules:
    """What a lease must respect besides stored pauses. Lane caps: name -> running at most (None = no cap).

    `only` names the items that may still be leased (a course at its end resumes what it interrupted); None = any.
    """

    actor: str
    lane_caps: Mapping[str, int | None]
    default_repository: str | None = None
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """Everything one settle writes in one transaction."""

    outcome: Outcome
    disposition: Disposition
    session: SessionRow | None = None
    attempt: Mapping[str, Any] | None = None
    question: tuple[str, tuple[str, ...]] | None = None
    reviews: tuple[SessionRow, ...] = ()


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
    def add(self, items: Sequence[WorkItem], *, actor: str, now: datetime) -> Sequence[Added]: ...
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

    def lease_by_hand(self, owner: str, item: str, default_repository: str | None, now: datetime) -> Lease:
        """Lease what a person hands in, to prove it. Raises NotFound, Refused if nobody has it or it is leased."""
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
    def attempts(self, item: str) -> Sequence[AttemptRow]: ...

    def spent(self, *, since: datetime | None = None, item: str | None = None) -> Mapping[str, Decimal]:
        """US dollars by kind of work, exact; sessions of unknown cost are left out."""
        ...

    def streak(self, limit: int) -> Sequence[AttemptRow]:
        """The latest counted attempts, newest first, up to one that ended well or to the last loop pause by file."""
        ...

    def recent_ends(self, limit: int) -> Sequence[PastEnd]:
        """How sessions among the newest `limit` leases ended, oldest first: what breakers remember over a start."""
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

    # journal, runs
    def note(self, entry: Entry) -> None: ...
    def journal(
        self, *, item: str | None = None, session: str | None = None, after: int = 0, limit: int = 200
    ) -> Sequence[Entry]: ...
    def begin_run(self, run: str, *, pid: int, version: str, now: datetime) -> None: ...
    def end_run(self, run: str, *, reason: str, iterations: int, now: datetime) -> None: ...
    def written(self) -> Sequence[Entry]:
        """Entries committed through this object since the last call: what the engine hands to telemetry."""
        ...

    def changed(self) -> bool:
        """Whether another connection has committed since the last call (PRAGMA data_version)."""
        ...

    def close(self) -> None: ...


T = TypeVar("T")


class Books(Protocol):
    """The engine's way to the store: calls run in order on the store thread; a started call is never cancelled."""

    async def __call__(self, call: Callable[[Store], T]) -> T: ...


# --- surroundings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw. `level`: ok, warn, fail; `ending` names the row of ENDINGS it would cause, if any."""

    check: str
    level: str
    found: str
    expected: str = ""
    mend: str = ""
    ending: str | None = None


class Gauge(Protocol):
    """Measures one running session from outside (O8)."""

    def look(self, pid: int) -> Look:
        """`pid` is agent-init's. Blocking, some ms; called in a thread, one call at a time. Never raises."""
        ...


class Check(Protocol):
    name: str

    async def probe(self) -> Sequence[Finding]: ...


class Journalist(Protocol):
    """Telemetry's side: takes what happened and writes iteration.log and the component logs. Never raises."""

    def entry(self, entry: Entry) -> None: ...
    def line(self, level: str, event: str, **facts: Any) -> None: ...


class Records(Protocol):
    """The documented files of sessions (contract 2): projections, written atomically."""

    def current(self, row: SessionRow) -> None: ...
    def state(self, row: SessionRow) -> None: ...
    def metrics(self, session: str, document: Mapping[str, Any]) -> Path: ...
    def context(self, session: str, document: Mapping[str, Any]) -> Path: ...
    def read_context(self, session: str) -> Mapping[str, Any] | None: ...


class Processes(Protocol):
    """Leftovers of earlier runs: who is dead, and ending what an agent-init left behind."""

    def owner_is_dead(self, owner: str) -> bool: ...
    def session_is_dead(self, session: str) -> bool: ...
    async def end_session(self, row: SessionRow, *, term_seconds: float = 4.0) -> int:
        """End every process of a session, whoever started it; how many were ended."""
        ...

    def rebooted(self, boot: str | None) -> bool:
        """Whether the machine was started again since `boot`: then nothing of it lives, and nobody killed it. False for
        one that is not known.
        """
        ...
