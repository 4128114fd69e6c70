"""What a template can name (contract 9): one pure function makes all of it, another chooses the template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from harness.model.journal import AttemptRow
from harness.model.text import one_line, tail
from harness.model.work import WorkItem
from harness.prompting.fence import Fence

BY_HAND = "by-hand"
"""The template of a person's brief."""
MOST_TAIL = 4096
MOST_GUIDES = 100_000
MOST_EXTRA = 20_000
MOST_HISTORY = 5


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The session that will read the prompt. `budget_usd` and `max_turns` None = no limit of ours."""

    id: str
    iteration: int
    deadline_at: datetime
    budget_usd: float | None = None
    max_turns: int | None = None


@dataclass(frozen=True, slots=True)
class GateFacts:
    """A gate that will judge the work: its name, the command it runs ("" if none), and what it asks for in words."""

    name: str
    run: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """`instructions` are the operator's words; `guides` the CLAUDE.md / AGENTS.md of the base commit (R9)."""

    name: str
    branch: str
    instructions: str = ""
    gates: tuple[GateFacts, ...] = ()
    guides: str = ""


@dataclass(frozen=True, slots=True)
class HandoverFacts:
    """What an earlier session left, from our events and git; `answer` is a person's and trusted."""

    reason: str = ""
    progress: str = ""
    last_texts: tuple[str, ...] = ()
    open_tool: str = ""
    diffstat: str = ""
    wip_ref: str = ""
    question: str = ""
    answer: str = ""
    findings: str = ""


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """What a reviewer is to read: the commits `base..seal`, a line each; `findings` those of the review before."""

    seal: str
    base: str
    commits: tuple[str, ...] = ()
    number: int = 1
    findings: str = ""


def variables(
    item: WorkItem,
    session: SessionFacts,
    repo: RepositoryFacts,
    *,
    expects: str = "commit",
    template: str = "bootstrap",
    history: Sequence[AttemptRow] = (),
    handover: HandoverFacts | None = None,
    review: ReviewFacts | None = None,
) -> dict[str, Any]:
    """Everything a template can name, as plain strings, numbers, lists and mappings (docs/reference/prompts.md).

    Whatever we did not write is fenced here, so that no template can forget to. `template` is the kind's own, whichever
    template is chosen for this session. Title and description are whole.
    """
    fence = Fence(session.id)
    return {
        "SESSION_ID": session.id,
        "ITERATION": session.iteration,
        "WORK_ITEM": item.id,
        "RIG": repo.name,
        "item": _item(item, fence, expects, template),
        "session": {
            "id": session.id,
            "attempt": item.attempts + 1,
            "max_attempts": item.max_attempts,
            "deadline_at": session.deadline_at.astimezone().isoformat(timespec="seconds"),
            "budget": session.budget_usd,
            "max_turns": session.max_turns,
        },
        "repo": _repository(repo, fence),
        "history": [_attempt(row, fence) for row in history[-MOST_HISTORY:]],
        "handover": _handover(handover, fence) if handover is not None else None,
        "review": _review(review, fence) if review is not None else None,
    }


def choose_template(item: WorkItem, kind_template: str, *, conflict: bool = False, resume: bool = False) -> str:
    """The first that holds (contract 9): conflict, resume, an attempt that was counted, else the kind's own."""
    if conflict:
        return "conflict"
    if resume:
        return "continue"
    return "retry" if item.attempts > 0 else kind_template


def _item(item: WorkItem, fence: Fence, expects: str, template: str) -> dict[str, Any]:
    fields = dict(item.extra) | ({"regression_of": item.regression_of} if item.regression_of else {})
    extra = json.dumps(fields, ensure_ascii=False, indent=2, default=str) if fields else ""
    return {
        "id": item.id,
        "kind": item.kind,
        "template": template,
        "expects": expects,
        "title": fence.around(item.title, "title"),
        "description": fence.around(item.description or "(none given)", "description"),
        "extra": fence.around(_cut(extra, MOST_EXTRA), "further fields") if extra else "",
        "scope": [one_line(glob, 200) for glob in item.scope],
        "labels": [one_line(label, 100) for label in item.labels],
    }


def _repository(repo: RepositoryFacts, fence: Fence) -> dict[str, Any]:
    return {
        "name": repo.name,
        "branch": repo.branch,
        "instructions": repo.instructions.strip(),
        "gates": [asdict(gate) for gate in repo.gates],
        "guides": fence.around(_cut(repo.guides, MOST_GUIDES), "repository guides") if repo.guides.strip() else "",
    }


def _attempt(row: AttemptRow, fence: Fence) -> dict[str, Any]:
    red = next((v for v in row.verdicts if v.get("verdict") != "passed"), None)
    words = str(red.get("tail") or "") if red else row.evidence
    return {
        "attempt": row.number,
        "ending": row.ending or row.outcome or "",
        "sentence": one_line(row.sentence, 500),
        "gate": red.get("gate") if red else None,
        "tail": fence.around(tail(words, MOST_TAIL), "gate output" if red else "evidence") if words.strip() else "",
        "commits": list(row.commits),
    }


def _handover(left: HandoverFacts, fence: Fence) -> dict[str, Any]:
    told = replace(
        left,
        reason=one_line(left.reason, 500),
        progress=fence.around(tail(left.progress, MOST_TAIL), "reported progress") if left.progress.strip() else "",
        last_texts=tuple(fence.around(tail(t, MOST_TAIL), "last words") for t in left.last_texts if t.strip()),
        open_tool=fence.around(left.open_tool, "unfinished tool call") if left.open_tool.strip() else "",
        diffstat=fence.around(tail(left.diffstat, MOST_TAIL), "diff stat") if left.diffstat.strip() else "",
        question=fence.around(left.question, "question") if left.question.strip() else "",
        findings=fence.around(tail(left.findings, MOST_TAIL), "findings") if left.findings.strip() else "",
    )
    return asdict(told) | {"last_texts": list(told.last_texts)}


def _review(review: ReviewFacts, fence: Fence) -> dict[str, Any]:
    return {
        "seal": review.seal,
        "base": review.base,
        "commits": fence.around("\n".join(review.commits), "commits") if review.commits else "",
        "number": review.number,
        "findings": fence.around(tail(review.findings, MOST_TAIL), "earlier findings") if review.findings else "",
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n[cut here: {len(text) - most} more characters]"
