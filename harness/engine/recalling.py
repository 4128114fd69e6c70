"""What was said of a seal before the loop was cut off, so that gates do not run twice for one piece of work."""

from __future__ import annotations

from collections.abc import Sequence

from harness.engine.entries import entries
from harness.engine.mover import IntegratorTools
from harness.engine.plan import Judgement, Plan, Proven
from harness.model.journal import Entry
from harness.model.review import REVIEW
from harness.model.verdict import PASSED, Verdict
from harness.ports import Store

BEGUN = "review.begun"
"""The entry that says what was proved when a review began: seal, tip, merged, and the fence of its attempt."""


async def recalled(tools: IntegratorTools, plan: Plan, item: str, seal: str) -> Proven | None:
    """The proof that the last review of this seal began with, and the review if it approved.

    None without one, if a gate has been configured or taken away since, or if anything of it was not green.
    """
    entry = await tools.books(lambda s: _last_review(s, item, seal))
    if entry is None:
        return None
    attempts = await tools.books(lambda s: s.attempts(item))
    kept = next((each.verdicts for each in reversed(attempts) if each.fence == entry.data["fence"]), ())
    verdicts = [Verdict.read(stored) for stored in kept]
    gates = tuple(each for each in verdicts if each.gate != REVIEW)
    if {each.gate for each in gates} != set(plan.gates) or any(each.verdict != PASSED for each in gates):
        return None
    merged = str(entry.data["merged"])
    if await tools.merger.kept(plan.repo, item, "proved") != merged:
        return None
    judgement = Judgement(gates, proved=any(each.proves for each in gates))
    return Proven(str(entry.data["tip"]), merged, judgement, _approval(verdicts, seal))


def _approval(verdicts: Sequence[Verdict], seal: str) -> Verdict | None:
    """Only of this very seal; one that had findings is asked again."""
    approvals = [each for each in verdicts if (each.gate, each.verdict, each.commit) == (REVIEW, PASSED, seal)]
    return approvals[0] if approvals else None


def _last_review(store: Store, item: str, seal: str) -> Entry | None:
    begun = [each for each in entries(store, item=item) if each.kind == BEGUN and each.data["seal"] == seal]
    return begun[-1] if begun else None
