"""Gates on a commit that no session made: what was joined with a remote, what takes work back."""

from __future__ import annotations

from collections.abc import Callable, Collection

from harness.engine.mover import IntegratorTools
from harness.engine.plan import Plan, Proof
from harness.model.errors import Refused
from harness.model.work import WorkItem


async def require_green(
    tools: IntegratorTools, plan: Plan, item: WorkItem, commit: str, base: str, *, step: str, red: Callable[[str], str],
    taken: Collection[str] = (),
) -> str:  # fmt: skip
    """Nothing to require without gates. `step` names the folder of their logs, `red` makes a sentence of the ending;
    endings in `taken` are let through. The ending that was, empty for green.

    Raises Refused with that sentence, the way to the logs and the evidence, unless every gate passes on `commit`.
    """
    if not plan.gates:
        return ""
    folder = tools.home.session(f"{step}-{item.id}")
    judgement = await tools.prover.prove(Proof(plan, item, commit, base, folder, compares=False))
    if judgement.ending is not None and judgement.ending not in taken:
        raise Refused(red(judgement.ending), hint=f"logs: {folder}/gates", cause=judgement.evidence[:2000])
    return judgement.ending or ""
