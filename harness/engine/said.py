"""What a session that has ended said of its work, as an outcome; and what a person needs to see of one that failed."""

from __future__ import annotations

from harness.engine.session import SessionResult, killed_from_outside
from harness.model.events import AgentExit, StopReason
from harness.model.outcome import Asked, Failed, Interrupted, Outcome


def said(result: SessionResult) -> Outcome | None:
    """The outcome that needs no proof: interrupted, asked or failed. None when the agent says done.

    What the agent has said stands, even if it was stopped before its turn was over.
    """
    if result.question is not None:
        return Asked(result.question.question, result.question.options)
    if result.claim is not None:
        return None if result.claim.status == "done" else Asked(result.claim.summary, (), "blocked_work")
    if (interrupted := by_operator(result)) is not None:
        return interrupted
    if result.stopped is None and killed_from_outside(result.exit) and result.exit.exit_code == 143:
        return Interrupted("ended by an operator (TERM to its pid)", "operator")
    limit = result.exit.limit
    ending = result.ending or (result.refused.ending if result.refused else "unreported")
    return Failed(ending, evidence(result), limit.resets_at if limit else None)


def by_operator(result: SessionResult) -> Interrupted | None:
    if result.stopped is not None and result.stopped.reason in (StopReason.PAUSE, StopReason.STOP):
        return Interrupted(str(result.stopped.reason), "operator")
    return None


def _refused(left: AgentExit) -> str:
    """What the API last refused with; the CLI that we end while it waits has no more words for it."""
    if left.limit is not None:
        reset = left.limit.resets_at
        until = f"until {reset.astimezone().isoformat(timespec='seconds')}" if reset else "and names no end of it"
        return f"the API answers nothing {until} ({left.limit.kind or left.limit.status})"
    if left.retry is not None and left.subtype in (None, "error_during_execution"):
        status = f"status {left.retry.status}" if left.retry.status else "no answer"
        return f"the API's last word: {status} ({left.retry.error})"
    return ""


def _gone(left: AgentExit) -> str:
    """How a process ended that left no result, and no exception to say so."""
    if left.subtype is not None or left.exception is not None or left.exit_code is None:
        return ""
    return f"the agent process ended with exit code {left.exit_code}"


def evidence(result: SessionResult) -> str:
    """A few lines a person can judge by: what it was doing, what the API or the process said."""
    stopped, left = result.stopped, result.exit
    lines = [_refused(left), f"its last complete_work was {result.refused.told}" if result.refused else ""]
    if stopped is not None and stopped.reason.startswith("stalled"):
        lines.append(f"{stopped.reason} after {stopped.silent_seconds:.0f} s of silence: {stopped.doing}")
    elif stopped is not None:
        lines.append(f"{stopped.reason}, while: {stopped.doing}")
    lines += [left.text, left.detail, _gone(left), left.stderr_tail]
    return "\n".join(line for line in lines if line)[:4000]
