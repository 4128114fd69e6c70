"""Gates on a commit that no session made: what was joined with a remote, what takes work back."""

from __future__ import annotations

from collections.abc import Callable

from harness.engine.mover import IntegratorTools
from harness.engine.plan import Plan, Proof
from harness.model.errors import Refused
from harness.model.work import WorkItem


async def require_green(
    tools: IntegratorTools, plan: Plan, item: WorkItem, commit: str, base: str, *, step: str, red: Callable[[str], str]
) -> None:
    """Nothing to require without gates. `step` names the folder of their logs, `red` makes a sentence of the ending.

    Raises Refused with that sentence, the way to the logs and the evidence, unless every gate passes on `commit`.
    """
    if not plan.gates:
        return
    folder = tools.home.session(f"{step}-{item.id}")
    judgement = await tools.prover.prove(Proof(plan, item, commit, base, folder, compares=False))
    if judgement.ending is not None:
        raise Refused(red(judgement.ending), hint=f"logs: {folder}/gates", cause=judgement.evidence[:2000])
