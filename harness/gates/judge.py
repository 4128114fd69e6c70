"""From the gates of a kind to one judgement: whose fault a gate is that did not pass.

              on head     on base     then
              passed      not run     passed
              failed      passed      gate_failed: the agent's
              failed      not passed  base_red: not this item's doing (a bug fix begins on a red base: gate_failed)
              broken      broken      gate_broken: the gate could not start, here and there
              broken      passed      gate_failed: it could start before this work
              broken      failed      as failed
              asks        not run     a person is asked, if nothing else is wrong

Where the head is the work merged with what came meanwhile, gate_failed holds only if the work alone is red too; green
alone is `conflict`, and so is one that failed merged and cannot even start alone.

All gates run on the head, so that the next attempt sees everything that is red; elsewhere only those that did not pass
there, until one is known to be the agent's. A gate that compares has looked at the base already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.gates.slots import Resources, Slots
from harness.gates.trial import Open, Trial
from harness.model.verdict import ASKS, BROKEN, FAILED, PASSED, Verdict
from harness.ports import Gate

ENDINGS = ("gate_failed", "gate_broken", "base_red", "conflict")
"""What outweighs what: the agent's first; a gate or base that nobody gets past before what only a new try can tell."""
ALONE = "green on the work alone, red only together with what was integrated meanwhile"


@dataclass(frozen=True, slots=True)
class Judged:
    """`ending` is None when all passed, else one of ENDINGS; `evidence` shows why.

    `question` is for a person; then `ending` is None too. `proved`: a gate that proves something has passed.
    """

    verdicts: tuple[Verdict, ...]
    ending: str | None = None
    evidence: str = ""
    question: str | None = None

    @property
    def proved(self) -> bool:
        return any(each.verdict == PASSED and each.proves for each in self.verdicts)


@dataclass(frozen=True, slots=True)
class Places:
    """Where gates run: `head`; `base`, None if the head is the base (a document); `alone`, the work by itself, None if
    the head is just that.
    """

    head: Open
    base: Open | None = None
    alone: Open | None = None


async def judge_all(
    gates: Sequence[Gate],
    places: Places,
    *,
    base_is_red: bool = False,
    slots: Slots | None = None,
) -> Judged:
    """Run the gates. `base_is_red` for kinds whose base is red by nature (bug-fix). Raises DiskFull."""
    case = _Case(gates, places, slots or Slots(Resources(), 1), base_is_red=base_is_red)
    verdicts = await case.on_head()
    endings: list[tuple[str, Verdict]] = []
    for number, gate in enumerate(gates):
        if verdicts[number].verdict in (PASSED, ASKS):
            continue
        ending, verdicts[number] = await case.fault(gate, verdicts[number])
        endings.append((ending, verdicts[number]))
        if ending == "gate_failed":
            break
    return _judged(tuple(verdicts), endings)


class _Case:
    """The trials of one judgement."""

    def __init__(self, gates: Sequence[Gate], places: Places, slots: Slots, *, base_is_red: bool) -> None:
        watch = any(gate.terms.after for gate in gates)
        self._gates = gates
        self._base_is_red = base_is_red
        self._head = Trial(places.head, slots, watch=watch)
        self._base = Trial(places.base, slots, word="base", watch=watch) if places.base else None
        self._alone = Trial(places.alone, slots, word="alone", watch=watch) if places.alone else None

    async def on_head(self) -> list[Verdict]:
        return await self._head.all(self._gates)

    async def fault(self, gate: Gate, verdict: Verdict) -> tuple[str, Verdict]:
        """The ending that a gate which did not pass on the head calls for, and its verdict as it stands then."""
        broken = verdict.verdict == BROKEN
        if self._base is None or gate.terms.compares:
            ending = "gate_broken" if broken else "gate_failed"
        elif self._base_is_red and not broken:
            ending = "gate_failed"
        else:
            before = await self._one(self._base, gate)
            verdict = replace(verdict, runs=(*verdict.runs, *before.runs))
            if broken and before.verdict == BROKEN:
                return "gate_broken", verdict
            ending = "gate_failed" if before.verdict == PASSED or self._base_is_red else "base_red"
            verdict = replace(verdict, verdict=FAILED)
        if ending == "gate_failed" and self._alone is not None:
            return await self._apart(self._alone, gate, verdict, broken=broken)
        return ending, verdict

    async def _apart(self, alone: Trial, gate: Gate, verdict: Verdict, *, broken: bool) -> tuple[str, Verdict]:
        """Whether the work by itself is red as well."""
        apart = await self._one(alone, gate)
        verdict = replace(verdict, runs=(*verdict.runs, *apart.runs))
        if apart.verdict == FAILED or (broken and apart.verdict == BROKEN):
            return "gate_failed", verdict
        return "conflict", replace(verdict, tail=f"{verdict.tail}\n[{_apart_in_words(apart)}]".strip())

    async def _one(self, trial: Trial, gate: Gate) -> Verdict:
        """One gate elsewhere; one that runs after the others needs these there first."""
        if gate.terms.after:
            for other in self._gates:
                if other.terms.checkout and other.name not in trial.heard:
                    await trial.one(other)
        return await trial.one(gate)


def _apart_in_words(apart: Verdict) -> str:
    return "not to be judged on the work alone: it could not start" if apart.verdict == BROKEN else ALONE


def _judged(verdicts: tuple[Verdict, ...], endings: Sequence[tuple[str, Verdict]]) -> Judged:
    for ending in ENDINGS:
        guilty = [verdict for found, verdict in endings if found == ending]
        if guilty:
            return Judged(verdicts, ending, "\n\n".join(map(_shown, guilty)))
    asked = [verdict.tail for verdict in verdicts if verdict.verdict == ASKS]
    return Judged(verdicts, question="\n\n".join(asked) or None)


def _shown(verdict: Verdict) -> str:
    log = f", log {verdict.log}" if verdict.log else ""
    return f"gate {verdict.gate}: {verdict.verdict} after {verdict.seconds:.1f} s{log}\n{verdict.tail}"
