"""Work and a branch that moved on, brought together in the configured ways; each try is told, then somebody asked."""

from __future__ import annotations

from harness.engine.mover import IntegratorTools, Mover
from harness.engine.plan import Plan
from harness.model.outcome import Asked, Failed
from harness.ports import Combined, Seal

MOST_NAMED = 20


async def combined(tools: IntegratorTools, plan: Plan, item: str, seal: Seal, tip: str) -> str | Failed | Asked:
    """The commit that has both and is still to be proved; else what becomes of the item."""
    done = await tools.merger.combine(plan.repo, seal, tip, plan.ways)
    for each in done.tries:
        if each.left or each.way != "merge":
            facts = {"way": each.way, "left": list(each.left[:MOST_NAMED]), "said": each.said[-2000:]}
            await Mover(tools).note("integration.tried", item, **facts)
    if done.commit is not None:
        return done.commit
    if plan.ways.asking[:1] == ("person",):
        return Asked(_question(plan, item, tip, done), kind="blocked_work")
    return Failed("conflict", _evidence(plan, item, tip, done))


def _evidence(plan: Plan, item: str, tip: str, done: Combined) -> str:
    """Everything that the next session, or a person, needs to see both sides."""
    files = ", ".join(done.left[:MOST_NAMED]) or "histories without a common commit"
    tried = ", ".join(each.way for each in done.tries)
    lines = [f"with {plan.branch} at {tip[:12]}: {files}"]
    lines += [f"tried: {tried}"] if len(done.tries) > 1 else []
    lines += [f"there: {commit}" for commit in done.theirs]
    return "\n".join([*lines, f"the work is kept: git show refs/harness/{item}/sealed"])


def _question(plan: Plan, item: str, tip: str, done: Combined) -> str:
    ways = (
        f"merge refs/harness/{item}/sealed into {plan.branch} by hand, or let an agent do it: ./loop queue retry {item}"
    )
    return f"the work conflicts {_evidence(plan, item, tip, done)}\n{ways}"
