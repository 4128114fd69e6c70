"""Running gates: side by side, each in a clean checkout of its own, a red one again before it counts as red."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from harness.gates.slots import Slots, side_by_side
from harness.model.verdict import FAILED, PASSED, Verdict
from harness.ports import Gate, GateCase

Open = Callable[[Gate, str], AbstractAsyncContextManager[GateCase]]
"""Opens a case for one run of a gate; the word tells runs apart in the names of logs ("" is the first on the head)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A verdict, and what the gate left behind in its checkout."""

    verdict: Verdict
    left: Sequence[str] = ()


@dataclass(slots=True)
class Trial:
    """All runs of gates on one commit. `watch`: look for what gates leave behind."""

    open_: Open
    slots: Slots
    word: str = ""
    watch: bool = False
    heard: dict[str, Heard] = field(default_factory=dict)

    async def all(self, gates: Sequence[Gate]) -> list[Verdict]:
        """Verdicts in the order of `gates`. Raises DiskFull."""
        first = [gate for gate in gates if not gate.terms.after]
        await side_by_side(self.one(gate) for gate in first)
        for gate in gates:
            if gate.terms.after:
                await self.one(gate)
        return [self.heard[gate.name].verdict for gate in gates]

    async def one(self, gate: Gate) -> Verdict:
        """One gate until it is sure: red is run again as often as its terms say, a hang and a broken one are not."""
        async with self.slots.hold(gate.terms.resources):
            heard = await self._once(gate, self.word)
            for number in range(2, gate.terms.retry + 2):
                if not _may_be_chance(heard.verdict):
                    break
                again = await self._once(gate, "-".join(part for part in (self.word, f"run{number}") if part))
                heard = Heard(_both(heard.verdict, again.verdict), again.left)
        self.heard[gate.name] = heard
        return heard.verdict

    async def _once(self, gate: Gate, word: str) -> Heard:
        async with self.open_(gate, word) as case:
            verdict = await gate.judge(replace(case, left=self.left()) if gate.terms.after else case)
            left = await case.leftovers() if self.watch and case.leftovers is not None else ()
        return Heard(verdict, left)

    def left(self) -> Mapping[str, Sequence[str]]:
        return {name: heard.left for name, heard in self.heard.items() if heard.left}


def _may_be_chance(verdict: Verdict) -> bool:
    return verdict.verdict == FAILED and not any(run.timed_out for run in verdict.runs)


def _both(first: Verdict, again: Verdict) -> Verdict:
    runs, seconds = (*first.runs, *again.runs), first.seconds + again.seconds
    if again.verdict != PASSED:
        return replace(again, runs=runs, seconds=seconds)
    tail = f"flaky: red first, then green in a new checkout; the red run (log {first.log}):\n{first.tail}"
    return replace(again, runs=runs, seconds=seconds, flaky=True, tail=tail)
