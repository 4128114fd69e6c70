"""From the gates of a kind to one judgement: whose fault a gate is that did not pass.

              on head     on base     then
              passed      not run     passed
              failed      passed      gate_failed: the agent's
              failed      not passed  base_red: not this item's doing (a bug fix begins on a red base: gate_failed)
              broken      broken      gate_broken: the gate could not start, here and there
              broken      passed      gate_failed: it could start before this work
              broken      failed      as failed
              asks        not run     a person is asked, if nothing else is wrong

All gates run on the head, so that the next attempt sees everything that is red; on the base only those that did not
pass there, until one is known to be the agent's. A gate that compares has looked at the base already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.gates.slots import Resources, Slots
from harness.gates.trial import Open, Trial
from harness.model.verdict import ASKS, BROKEN, FAILED, PASSED, Verdict
from harness.ports import Gate

ALONE = 1


@dataclass(frozen=True, slots=True)
class Judged:
    """`ending` is None when all passed, else gate_failed, gate_broken or base_red; `evidence` shows why.

    `question` is for a person; then `ending` is None too. `proved`: a gate that proves something has passed.
    """

    verdicts: tuple[Verdict, ...]
    ending: str | None = None
    evidence: str = ""
    question: str | None = None

    @property
    def proved(self) -> bool:
        return any(each.verdict == PASSED and each.proves for each in self.verdicts)


async def judge_all(
    gates: Sequence[Gate],
    head: Open,
    base: Open | None,
    *,
    base_is_red: bool = False,
    approved: bool = False,
    slots: Slots | None = None,
) -> Judged:
    """Run the gates. `head` and `base` open the cases of a run, `base` None if the head is the base (a document);
    `base_is_red` for kinds whose base is red by nature (bug-fix); `approved`: a person has said yes to what gates ask.

    Raises DiskFull.
    """
    places = slots or Slots(Resources(), ALONE)
    watch = any(gate.terms.after for gate in gates)
    verdicts = await Trial(head, places, watch=watch).all(gates)
    verdicts = [_answered(each) if approved else each for each in verdicts]
    on_base = Trial(base, places, word="base", watch=watch) if base is not None else None
    endings: list[tuple[str, Verdict]] = []
    for number, gate in enumerate(gates):
        verdict = verdicts[number]
        if verdict.verdict in (PASSED, ASKS):
            continue
        ending, verdicts[number] = await _fault(gate, verdict, gates, on_base, base_is_red=base_is_red)
        endings.append((ending, verdicts[number]))
        if ending == "gate_failed":
            break
    return _judged(tuple(verdicts), endings)


def _judged(verdicts: tuple[Verdict, ...], endings: Sequence[tuple[str, Verdict]]) -> Judged:
    for ending in ("gate_failed", "gate_broken", "base_red"):
        guilty = [verdict for found, verdict in endings if found == ending]
        if guilty:
            return Judged(verdicts, ending, "\n\n".join(map(_shown, guilty)))
    asked = [verdict.tail for verdict in verdicts if verdict.verdict == ASKS]
    return Judged(verdicts, question="\n\n".join(asked) or None)


async def _fault(
    gate: Gate, verdict: Verdict, gates: Sequence[Gate], on_base: Trial | None, *, base_is_red: bool
) -> tuple[str, Verdict]:
    """The ending that a gate which did not pass on the head calls for, and its verdict as it stands then."""
    broken = verdict.verdict == BROKEN
    if on_base is None or gate.terms.compares:
        return "gate_broken" if broken else "gate_failed", verdict
    if base_is_red and not broken:
        return "gate_failed", verdict
    before = await _before(gate, gates, on_base)
    verdict = replace(verdict, runs=(*verdict.runs, *before.runs))
    if broken and before.verdict == BROKEN:
        return "gate_broken", verdict
    verdict = replace(verdict, verdict=FAILED)
    return "gate_failed" if before.verdict == PASSED or base_is_red else "base_red", verdict


async def _before(gate: Gate, gates: Sequence[Gate], on_base: Trial) -> Verdict:
    """The same gate on the base; one that runs after the others needs these there first."""
    if gate.terms.after:
        for other in gates:
            if other.terms.checkout and other.name not in on_base.heard:
                await on_base.one(other)
    return await on_base.one(gate)


def _answered(verdict: Verdict) -> Verdict:
    if verdict.verdict != ASKS:
        return verdict
    return replace(verdict, verdict=PASSED, tail=f"approved by a person:\n{verdict.tail}")


def _shown(verdict: Verdict) -> str:
    log = f", log {verdict.log}" if verdict.log else ""
    return f"gate {verdict.gate}: {verdict.verdict} after {verdict.seconds:.1f} s{log}\n{verdict.tail}"
