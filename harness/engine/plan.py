"""What is settled about an item before its attempt begins, and the seams through which `app` hands in the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from harness.model.brief import Limits
from harness.model.decision import ANSWERED, Decision, words_of
from harness.model.journal import AttemptRow, Followup
from harness.model.outcome import Asked
from harness.model.outfit import BARE, Outfit
from harness.model.session import SessionRow
from harness.model.verdict import Verdict
from harness.model.work import Continuation, WorkItem
from harness.ports import Agent, Prompt, Records, RepositoryRef, Ways, WorkspaceState

MOST_QUESTION = 1000
USUAL_WAYS = Ways(("merge", "agent", "person"))


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What is built from the branch: a shell command, the paths of the checkout that are kept, its limit."""

    run: str
    artefacts: tuple[str, ...] = ()
    timeout_seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class After:
    """What follows an integration: a review, folders to fast-forward, a build."""

    review: bool = False
    pull: tuple[Path, ...] = ()
    build: BuildOrder | None = None

    def steps(self, kind: str, *, target: bool) -> tuple[tuple[str, str], ...]:
        """(step, target) after an integration of `kind`; `target`: its branch is the repository's own."""
        review = [("review", "")] if self.review and kind == "work" else []
        pull = [("pull", str(folder)) for folder in self.pull] if target else []
        build = [("build", "")] if self.build is not None and target else []
        return (*review, *pull, *build)


@dataclass(frozen=True, slots=True)
class ReviewPlan:
    """The session that reads sealed work before it is integrated; `rounds` = how often findings go back."""

    template: str
    agent: Agent
    limits: Limits
    options: Mapping[str, Any]
    rounds: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The effective settings of one item: item over repository over kind over agent over global (H34).

    `integrate` verified, claimed or never; `expects` commit, document or none; `gates` the names that judge this kind;
    `setup` shell commands run in a fresh workspace. `ways` out of a conflict; `batch` = most pieces of work proved at
    once, `comparing` those of `gates` that look at what a piece changed and so judge each by itself. `after`: what
    follows an integration. `prefix`: how subjects of its commits begin.
    """

    repo: RepositoryRef
    branch: str
    kind: str
    expects: str
    agent: Agent
    limits: Limits
    options: Mapping[str, Any]
    gates: tuple[str, ...]
    setup: tuple[str, ...]
    integrate: str
    push: bool
    trailers: tuple[tuple[str, str], ...]
    ways: Ways = USUAL_WAYS
    batch: int = 1
    comparing: tuple[str, ...] = ()
    outfit: Outfit = BARE
    review: ReviewPlan | None = None
    after: After = After()
    prefix: str = ""

    @property
    def shared_gates(self) -> tuple[str, ...]:
        """Gates whose word on several pieces of work together holds for each of them."""
        return tuple(gate for gate in self.gates if gate not in self.comparing)

    @property
    def own_gates(self) -> tuple[str, ...]:
        return tuple(gate for gate in self.gates if gate in self.comparing)


class Planner(Protocol):
    def plan(self, item: WorkItem) -> Plan:
        """Raises NotFound (repository unknown or missing), ConfigError."""
        ...


@dataclass(frozen=True, slots=True)
class Handover:
    """What an earlier session left for the next one, from our events and git, never told by the dying agent."""

    reason: str
    progress: str = ""
    last_texts: tuple[str, ...] = ()
    open_tool: str = ""
    diffstat: str = ""
    wip_ref: str = ""
    question: str = ""
    answer: str = ""
    findings: str = ""


def handover_of(goes_on: Continuation | None, records: Records, decisions: Sequence[Decision]) -> Handover | None:
    """What the session before left behind, from its context file, or a person, and what persons answered; None if
    there is nothing of all that.
    """
    answered = [each for each in decisions if each.state == ANSWERED]
    question, answer = words_of(answered) if answered else ("", "")
    if goes_on is None or (goes_on.session is None and goes_on.mode != "work"):
        return Handover("it asked a person", question=question, answer=answer) if answered else None
    kept = (records.read_context(goes_on.session) if goes_on.session else None) or {}
    return Handover(
        reason=goes_on.reason,
        progress="\n".join(kept.get("progress") or ()),
        last_texts=tuple(kept.get("last_texts") or ()),
        open_tool=kept.get("stopped_while") or "",
        diffstat=kept.get("diffstat") or "",
        wip_ref=goes_on.wip_ref or "",
        question=question,
        answer=answer,
    )


@dataclass(frozen=True, slots=True)
class ToReview:
    """What a reviewer is given to read: `base..seal`, a line a commit, and the findings of the review before."""

    seal: str
    base: str
    commits: tuple[str, ...]
    number: int
    findings: str = ""


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """Everything a prompt is made of; rendering it twice gives the same text (`prompt render`)."""

    plan: Plan
    item: WorkItem
    session: str
    iteration: int
    deadline_at: datetime
    history: Sequence[AttemptRow] = ()
    handover: Handover | None = None
    resume: bool = False
    conflict: bool = False
    guides: str = ""
    review: ToReview | None = None


class Composer(Protocol):
    def compose(self, request: PromptRequest) -> Prompt:
        """Raises TemplateError with file and line."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """All verdicts of a proof; `ending` is None if nothing is red (or no gate judges it: `verdicts` empty).

    `question` is what a person has to say yes to first; `proved` False: nothing is red, and nothing proves the work.
    """

    verdicts: tuple[Verdict, ...]
    ending: str | None = None
    evidence: str = ""
    question: str | None = None
    proved: bool = True


@dataclass(frozen=True, slots=True)
class Proven:
    """Work whose gates are not red, not integrated yet: `merged` has it and `tip`; `review` is of its seal."""

    tip: str
    merged: str
    judgement: Judgement
    review: Verdict | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return self.judgement.verdicts if self.review is None else (*self.judgement.verdicts, self.review)


def asked(item: str, question: str) -> Asked:
    """The outcome of proved work that a person has to approve; it is kept, and taken or sent back by command."""
    choices = (f"approve: ./loop merge apply {item}", f"send it back: ./loop queue retry {item}")
    cut = question if len(question) <= MOST_QUESTION else f"{question[:MOST_QUESTION]}\n…"
    return Asked(f"{cut}\n{'; '.join(choices)}", choices)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is to be proved: `commit` in a bench, or the `document` on the base. `folder` takes the gates' logs.

    `seal` is the item's own work, where `commit` may have that of others merged with it; None = do not tell them apart.
    `compares` False: what lies between `base` and `commit` is not this item's; gates that look at it are left out.
    """

    plan: Plan
    item: WorkItem
    commit: str
    base: str
    folder: Path
    document: Path | None = None
    seal: str | None = None
    compares: bool = True


class Prover(Protocol):
    async def prove(self, proof: Proof) -> Judgement: ...


@dataclass(frozen=True, slots=True)
class PushOrder:
    """What is about to be pushed: `commit` to the branch of the same name, with the work of `items`, oldest first."""

    repo: RepositoryRef
    branch: str
    base: str
    commit: str
    items: tuple[str, ...]


class PushGuard(Protocol):
    """Asked before each push."""

    def asks(self, repo: str) -> str:
        """What is asked before a push there: another text once the configuration is another."""
        ...

    async def refusal(self, order: PushOrder) -> str:
        """Why it must not be pushed, empty if it may; what was said is kept. Raises HarnessError."""
        ...


class Errands(Protocol):
    """The items that follow-ups add."""

    def review(self, item: WorkItem, step: Followup) -> WorkItem:
        """Look at what `item` brought to its branch; the same id for the same commit, so it is added once."""
        ...

    def mend(self, item: WorkItem, step: Followup, said: str) -> WorkItem:
        """Mend a build that failed; `said` is the end of its output. One open item a repository (dedupe key)."""
        ...


class Surroundings(Protocol):
    """The built environments of contract 5; nothing is inherited."""

    def agent(self, session: str, *, home: Path, tmp: Path) -> dict[str, str]: ...
    def equipment(self, plan: Plan, workspace: Path) -> Mapping[str, str]:
        """Variables that name the ports and cache folders of a workspace; set-up and agent see the same ones.

        Raises Refused if there is no free port.
        """
        ...

    async def prepare(self, plan: Plan, workspace: Path, session: str, log: Path) -> str | None:
        """Run the repository's set-up commands contained; the failing one's last lines, None if all went well."""
        ...


class Meter(Protocol):
    """The one decoder: `metrics.json` of a session from its log and transcript (contract 6)."""

    def baseline(self, row: SessionRow) -> Mapping[str, Any]: ...
    def measure(self, row: SessionRow, baseline: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def has_conversation(self, row: SessionRow) -> bool:
        """Whether the agent kept a conversation of this session that a next one can resume."""
        ...

    def context(self, row: SessionRow) -> Mapping[str, Any]:
        """Last texts and the open tool of a session, for its context file."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What a session produced, before it is proved."""

    state: WorkspaceState
    document: Path | None
