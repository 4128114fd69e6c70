"""From the gates of a kind to one judgement: whose fault a gate is that did not pass.

              on head     on base     then
              passed      not run     passed
              failed      passed      gate_failed: the agent's
              failed      not passed  base_red: not this item's doing (a bug fix begins on a red base: gate_failed)
              broken      broken      gate_broken: the gate could not start, here and there
              broken      passed      gate_failed: it could start before this work
              broken      failed      as failed

Where the head is the work merged with what came meanwhile, a gate that is red on it though not on the base is run once
more on the work alone: not passed there is gate_failed, passed is conflict, for only the two together are red.

All gates run on the head, so that the next attempt sees everything that is red; elsewhere only those that did not pass
there, until one is known to be the agent's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from harness.model.outcome import Verdict
from harness.ports import Gate, GateCase

CaseOf = Callable[[Gate], GateCase]
BenchOf = Callable[[Gate], AbstractAsyncContextManager[GateCase]]
_BY_WEIGHT = ("gate_failed", "conflict", "gate_broken", "base_red")
_SAID = {"conflict": "red together with what was integrated meanwhile, green on the work alone\n"}


@dataclass(frozen=True, slots=True)
class Judged:
    """`ending` is None when all passed, else gate_failed, conflict, gate_broken or base_red; `evidence` shows why."""

    verdicts: tuple[Verdict, ...]
    ending: str | None = None
    evidence: str = ""


async def judge_all(
    gates: Sequence[Gate],
    head: CaseOf,
    base: BenchOf | None,
    *,
    alone: BenchOf | None = None,
    base_is_red: bool = False,
) -> Judged:
    """Run the gates one after another. `base` and `alone` open a bench for one gate: of the base, None if the head is
    the base (a document); of the work without what it was merged with, None if the head is just that. `base_is_red` for
    kinds whose base is red by nature (bug-fix). Raises DiskFull.
    """
    verdicts = [await gate.judge(head(gate)) for gate in gates]
    endings: list[tuple[str, Verdict]] = []
    for number, gate in enumerate(gates):
        verdict = verdicts[number]
        if verdict.verdict == "passed":
            continue
        ending = await _fault(gate, verdict, base, base_is_red=base_is_red)
        if ending == "gate_failed" and alone is not None:
            ending = await _without_the_others(gate, verdict, alone)
        if verdict.verdict == "broken" and ending != "gate_broken":
            verdict = verdicts[number] = replace(verdict, verdict="failed")
        endings.append((ending, verdict))
        if ending == "gate_failed":
            break
    for ending in _BY_WEIGHT:
        guilty = [verdict for found, verdict in endings if found == ending]
        if guilty:
            return Judged(tuple(verdicts), ending, _SAID.get(ending, "") + "\n\n".join(map(_shown, guilty)))
    return Judged(tuple(verdicts))


async def _fault(gate: Gate, verdict: Verdict, base: BenchOf | None, *, base_is_red: bool) -> str:
    """The ending that a gate which did not pass on the head calls for."""
    broken = verdict.verdict == "broken"
    if base is None:
        return "gate_broken" if broken else "gate_failed"
    if base_is_red and not broken:
        return "gate_failed"
    async with base(gate) as case:
        before = (await gate.judge(case)).verdict
    if broken and before == "broken":
        return "gate_broken"
    return "gate_failed" if before == "passed" or base_is_red else "base_red"


async def _without_the_others(gate: Gate, verdict: Verdict, alone: BenchOf) -> str:
    """Whose fault a red merged tree is. A gate that runs there, but could not even start here, convicts nobody."""
    async with alone(gate) as case:
        word = (await gate.judge(case)).verdict
    return "gate_failed" if word in ("failed", verdict.verdict) else "conflict"


def _shown(verdict: Verdict) -> str:
    return f"gate {verdict.gate}: {verdict.verdict} after {verdict.seconds:.1f} s, log {verdict.log}\n{verdict.tail}"
