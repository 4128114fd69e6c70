"""How attempts end and what the queue does about it: one table and one pure function.

An attempt has exactly one Outcome. A Failed outcome names an ending; the ENDINGS table gives its cause, and the cause
decides everything: only endings of cause *agent* count against the item (architecture 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from harness.model.verdict import Verdict, named
from harness.model.work import Continuation, WorkItem, WorkState


class Cause(StrEnum):
    AGENT = "agent"
    REVIEW = "review"
    LIMIT = "limit"
    API = "api"
    AUTH = "auth"
    CONFIG = "config"
    RESOURCE = "resource"
    HARNESS = "harness"
    PERMANENT = "permanent"


class Resume(StrEnum):
    """What a next session begins with: the same conversation, a fresh one on the kept workspace, or nothing kept."""

    SAME = "same"
    FRESH = "fresh"
    NO = "no"


class Scope(StrEnum):
    """How far an ending reaches: what is paused until it is mended."""

    ITEM = "item"
    KIND = "kind"
    CREDENTIAL = "credential"
    REPO = "repo"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of ENDINGS: `sentence` says what happened, `hint` the command or step that helps."""

    cause: Cause
    resume: Resume
    scope: Scope
    sentence: str
    hint: str


_WHY = "./loop why ITEM"
_DOCTOR = "./loop doctor"


def _agent(sentence: str, hint: str = _WHY, resume: Resume = Resume.FRESH) -> Rule:
    return Rule(Cause.AGENT, resume, Scope.ITEM, sentence, hint)


def _harness(sentence: str, hint: str = _WHY) -> Rule:
    return Rule(Cause.HARNESS, Resume.SAME, Scope.ITEM, sentence, hint)


def _config(scope: Scope, sentence: str, hint: str) -> Rule:
    return Rule(Cause.CONFIG, Resume.FRESH, scope, sentence, hint)


def _resource(scope: Scope, sentence: str, hint: str) -> Rule:
    return Rule(Cause.RESOURCE, Resume.SAME, scope, sentence, hint)


ENDINGS: Mapping[str, Rule] = MappingProxyType(
    {
        "unreported": _agent("the session ended without complete_work"),
        "no_change": _agent("the agent says done, but there is no commit (or document)"),
        "uncommitted": _agent(
            "the session ended with uncommitted changes; they are saved under a ref", "./loop wip list"
        ),
        "gate_failed": _agent("a gate is red on the sealed commit", _WHY, Resume.SAME),
        "max_turns": _agent("the session used up max_turns", "raise agents.*.max_turns or split the item"),
        "budget": _agent(
            "the session used up max_cost_usd or max_tokens",
            "raise agents.*.max_cost_usd or max_tokens, or split the item",
        ),
        "timeout": _agent("the session ran into its session_timeout", "raise session_timeout or split the item"),
        "spinning": _agent("the agent repeated the same tool call with the same result"),
        "runaway": _agent(
            "the session went beyond a critical bound of `watch` that ends sessions", "raise the bound in watch"
        ),
        "refusal": _agent("the model refused the request", "./loop session transcript SESSION"),
        "context_full": _agent("the conversation no longer fits the model's context", "split the item"),
        "review_findings": Rule(
            Cause.REVIEW, Resume.SAME, Scope.ITEM, "the review of the sealed commit has findings", _WHY
        ),
        "usage_limit": Rule(
            Cause.LIMIT,
            Resume.SAME,
            Scope.CREDENTIAL,
            "the account's usage limit is reached",
            "wait: ./loop status says until when",
        ),
        "throttled": Rule(
            Cause.LIMIT,
            Resume.SAME,
            Scope.CREDENTIAL,
            "the API answers 429 (too many requests)",
            "wait: ./loop status says until when",
        ),
        "api_down": Rule(
            Cause.API, Resume.SAME, Scope.CREDENTIAL, "the API cannot be reached or answers with server errors", _DOCTOR
        ),
        "stalled_api": Rule(
            Cause.API, Resume.SAME, Scope.CREDENTIAL, "the API stopped sending; the session stalled", _DOCTOR
        ),
        "auth": Rule(
            Cause.AUTH,
            Resume.SAME,
            Scope.LOOP,
            "the API refused the credentials",
            "./loop auth status, then ./loop resume",
        ),
        "billing": Rule(
            Cause.AUTH, Resume.SAME, Scope.LOOP, "the account cannot be billed", "add credit, then ./loop resume"
        ),
        "cli_missing": _config(Scope.LOOP, "the Claude CLI cannot be started", _DOCTOR),
        "model_unknown": _config(
            Scope.ITEM, "the API does not know the model", "./loop config show, then ./loop queue retry ITEM"
        ),
        "setup": _config(
            Scope.REPO, "a set-up command of the repository failed", "./loop config show, then ./loop resume"
        ),
        "gate_broken": _config(
            Scope.REPO, "a gate could not start, on head and base alike", "./loop config show, then ./loop resume"
        ),
        "sandbox_missing": _config(Scope.REPO, "the required isolation is not available", _DOCTOR),
        "template": _config(
            Scope.KIND, "the prompt template cannot be rendered", "./loop prompt render ITEM, then ./loop resume"
        ),
        "policy_wall": _config(
            Scope.ITEM,
            "the policy denied everything the agent tried",
            "./loop config show, then ./loop queue retry ITEM",
        ),
        "disk_full": _resource(
            Scope.LOOP, "no space is left where the loop or a session writes", "make space; the loop goes on by itself"
        ),
        "memory": _resource(Scope.LOOP, "the machine ran out of memory", "free memory or lower --workers"),
        "base_red": _resource(
            Scope.REPO,
            "the gate is red on the base too: not this item's doing",
            "mend the target branch, then ./loop resume",
        ),
        "crashed": _harness("the agent process ended without a result", "./loop session errors SESSION"),
        "lost": _harness("the loop ended while the session ran"),
        "agent_init_killed": _harness("the session's agent-init was killed (kill -9, or out of memory)"),
        "conversation_gone": Rule(
            Cause.HARNESS,
            Resume.FRESH,
            Scope.ITEM,
            "the conversation to be resumed is gone; a fresh session gets a hand-over",
            _WHY,
        ),
        "stalled": _harness("the session stalled: no sign of life, no API call or tool open"),
        "stalled_start": _harness("the agent did not start in time", _DOCTOR),
        "unreviewed": _harness("the review of the sealed commit gave no verdict, twice"),
        "protocol": _harness("the agent's output could not be understood", "./loop session errors SESSION"),
        "conflict": Rule(
            Cause.HARNESS, Resume.NO, Scope.ITEM, "the work conflicts with what was integrated meanwhile", _WHY
        ),
        "fault": _harness("the loop itself failed while it handled the item", "./loop doctor"),
        "invalid_item": Rule(
            Cause.PERMANENT, Resume.NO, Scope.ITEM, "the item itself cannot be worked on", "./loop queue show ITEM"
        ),
        "repo_missing": Rule(
            Cause.PERMANENT,
            Resume.NO,
            Scope.ITEM,
            "the repository's folder is missing or no git repository",
            "./loop config show",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Verified:
    """At least one gate of the kind passed, none failed or broke. `held` names why it is not integrated yet."""

    head: str | None
    verdicts: tuple[Verdict, ...]
    held: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The agent says so; no gate of this kind is configured to prove it."""

    head: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """`evidence` is what a person needs to see, a few lines; `wait_until` is known for limits only."""

    ending: str
    evidence: str = ""
    wait_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Ended by us or an operator: nothing is counted, the same conversation goes on."""

    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A person has to answer first. `kind` is the automatic interrupt: blocked_work or approval_required."""

    question: str
    options: tuple[str, ...] = ()
    kind: str = "approval_required"


Outcome = Verified | Claimed | Failed | Interrupted | Asked


def outcome_word(outcome: Outcome) -> str:
    """The word of `metrics.json` (contract 6)."""
    return type(outcome).__name__.lower()


@dataclass(frozen=True, slots=True)
class Disposition:
    """What the queue does about an outcome; `settle` writes it.

    `pause` is the scope that must not be leased until mended; `interrupt` the automatic interrupt that is due.
    """

    state: WorkState
    reason: str
    counted: bool = False
    rescued: bool = False
    deferred: bool = False
    not_before: datetime | None = None
    continuation: Continuation | None = None
    pause: Scope | None = None
    pause_until: datetime | None = None
    interrupt: str | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays of architecture 7: `first · factor^(n-1)`, at most `cap`, spread by ±`jitter` or fully."""

    first_seconds: float
    factor: float
    cap_seconds: float
    jitter: float

    def delay(self, count: int, spread: float) -> timedelta:
        """Delay after the `count`-th time (from 1); `spread` is a random number in [0, 1)."""
        full = min(self.cap_seconds, self.first_seconds * self.factor ** max(0, count - 1))
        low = full * (1 - self.jitter)
        return timedelta(seconds=low + (min(self.cap_seconds, full * (1 + self.jitter)) - low) * spread)


AGENT_BACKOFF = Backoff(60, 4, 3600, 0.2)
API_BACKOFF = Backoff(15, 2, 900, 1.0)
LONGEST_WAIT = timedelta(seconds=max(AGENT_BACKOFF.cap_seconds, API_BACKOFF.cap_seconds))
"""Of an item, by our own will."""
LIMIT_BACKOFF = Backoff(60, 2, 1800, 0.0)
PROBE_BACKOFF = Backoff(60, 2, 1800, 0.0)
MAX_RESCUES = 3
KILLS = frozenset({"lost", "agent_init_killed"})
"""Endings after which the item itself may be what kills a loop or an agent-init."""
POISON_KILLS = 2
MAX_HANDOVERS = 2
"""Fresh sessions an item gets, uncounted, when its conversation no longer fits (H55)."""
LIMIT_GRACE = timedelta(seconds=5)
LONGEST_LIMIT = timedelta(days=8)
_PAST_RESET = Backoff(5, 2, 1800, 0.0)


def limit_ends(reset: datetime | None, now: datetime, deferrals: int) -> datetime:
    """When to ask again after a limit that the API says ends at `reset`, or nothing of (architecture 7).

    A reset in the past is asked after soon, but ever later in a row: stale times are real. `deferrals` before this one.
    """
    if reset is None:
        return now + LIMIT_BACKOFF.delay(deferrals + 1, 0.0)
    soonest = now + _PAST_RESET.delay(deferrals + 1, 0.0)
    return min(max(reset + LIMIT_GRACE, soonest), now + LONGEST_LIMIT)


def sentence_of(ending: str) -> str:
    """What happened, as queue, pauses and pages say it."""
    return f"{ending}: {ENDINGS[ending].sentence}"


def dispose(
    item: WorkItem,
    outcome: Outcome,
    now: datetime,
    *,
    spread: float = 0.5,
    work: Continuation | None = None,
    kills: int = 0,
    handovers: int = 0,
) -> Disposition:
    """What the queue does about an outcome. Pure: `spread` in [0, 1) is the caller's random number.

    `work` is what an interrupted or failed session left behind (workspace, conversation), None when there is nothing;
    `kills` how many earlier attempts of the item ended in one of KILLS, ever, `handovers` in an uncounted context_full.
    """
    if item.by_hand and not isinstance(outcome, Verified | Claimed):
        return _stays(item, outcome)
    match outcome:
        case Verified(held=held) if held:
            return Disposition(WorkState.WAITING, held)
        case Verified():
            return Disposition(WorkState.DONE, f"verified: {named(outcome.verdicts)}")
        case Claimed():
            return Disposition(WorkState.DONE, "claimed: no gate proves this kind")
        case Interrupted(reason=reason):
            return Disposition(WorkState.READY, f"interrupted: {reason}", continuation=work)
        case Asked(question=question, kind=kind):
            return Disposition(WorkState.WAITING, f"needs a person: {question}", continuation=work, interrupt=kind)
        case Failed():
            if outcome.ending == "context_full" and work is not None and handovers < MAX_HANDOVERS:
                return _handed_over(handovers + 1, work)
            return _failed(item, outcome, now, spread, work, kills)


def _stays(item: WorkItem, outcome: Failed | Interrupted | Asked) -> Disposition:
    """What a person hands in and is not good yet stays with that person, uncounted, whatever the cause."""
    assert item.continuation is not None
    match outcome:
        case Failed(ending=ending):
            found = sentence_of(ending)
        case Interrupted(reason=reason):
            found = f"interrupted: {reason}"
        case Asked(question=question):
            found = f"needs a person: {question}"
    reason = f"{item.continuation.reason}; handed in, but {found}"
    return Disposition(WorkState.WAITING, reason, continuation=item.continuation)


def _failed(
    item: WorkItem, failed: Failed, now: datetime, spread: float, work: Continuation | None, kills: int
) -> Disposition:
    rule = ENDINGS[failed.ending]
    reason = sentence_of(failed.ending)
    carried = _carried(rule, work)
    match rule.cause:
        case Cause.AGENT:
            return _counted(item, failed.ending, reason, now + AGENT_BACKOFF.delay(item.attempts + 1, spread), carried)
        case Cause.REVIEW:
            return Disposition(WorkState.READY, reason, continuation=carried)
        case Cause.LIMIT:
            until = limit_ends(failed.wait_until, now, item.deferrals)
            return Disposition(
                WorkState.READY, reason, deferred=True, continuation=carried, pause=rule.scope, pause_until=until
            )
        case Cause.API:
            until = now + API_BACKOFF.delay(item.deferrals + 1, spread)
            return Disposition(WorkState.DELAYED, reason, deferred=True, not_before=until, continuation=carried)
        case Cause.CONFIG if rule.scope is Scope.ITEM:
            return Disposition(WorkState.WAITING, reason, continuation=carried)
        case Cause.AUTH | Cause.CONFIG | Cause.RESOURCE:
            until = now + PROBE_BACKOFF.delay(item.deferrals + 1, spread)
            return Disposition(
                WorkState.READY, reason, deferred=True, continuation=carried, pause=rule.scope, pause_until=until
            )
        case Cause.HARNESS if failed.ending in KILLS and kills + 1 >= POISON_KILLS:
            poison = f"{reason}; poison: {kills + 1} loops or agent-inits were killed under this item"
            return Disposition(WorkState.PARKED, poison, rescued=True, continuation=carried)
        case Cause.HARNESS if failed.ending == "conversation_gone":
            return Disposition(WorkState.READY, reason, continuation=carried)
        case Cause.HARNESS:
            return _rescued(item, reason, carried)
        case Cause.PERMANENT:
            return Disposition(WorkState.PARKED, reason)


def _handed_over(number: int, work: Continuation) -> Disposition:
    """A long conversation is no failure of the agent; its work goes on in a fresh one that is told what was done."""
    reason = f"{sentence_of('context_full')}; hand-over {number} of {MAX_HANDOVERS} to a fresh session"
    return Disposition(WorkState.READY, reason, continuation=_carried(ENDINGS["context_full"], work))


def _carried(rule: Rule, work: Continuation | None) -> Continuation | None:
    if work is None or rule.resume is Resume.NO:
        return None
    if work.mode == "seal":
        return work  # the session has ended: there is no conversation that could go on
    return work if rule.resume is Resume.SAME else replace(work, mode="work", claude_session_id=None)


def _counted(item: WorkItem, ending: str, reason: str, not_before: datetime, work: Continuation | None) -> Disposition:
    automatic = {"gate_failed": "quality_gate_failure", "timeout": "session_timeout"}.get(ending)
    if item.attempts + 1 >= item.max_attempts:
        spent = f"{reason} (attempt {item.attempts + 1} of {item.max_attempts})"
        return Disposition(WorkState.PARKED, spent, counted=True, continuation=work, interrupt=automatic)
    return Disposition(WorkState.DELAYED, reason, counted=True, not_before=not_before, continuation=work)


def _rescued(item: WorkItem, reason: str, work: Continuation | None) -> Disposition:
    """Resume once, then afresh on what is there, then park: three in a row are no accident."""
    if item.rescues + 1 >= MAX_RESCUES:
        return Disposition(
            WorkState.PARKED, f"{reason} ({MAX_RESCUES} times in a row)", rescued=True, continuation=work
        )
    if work and work.mode == "session" and item.rescues >= 1:
        work = replace(work, mode="work", claude_session_id=None)
    return Disposition(WorkState.READY, reason, rescued=True, continuation=work)
