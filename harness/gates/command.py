"""The gate `command`: a shell command in a clean checkout; its exit status is the verdict (contract 8)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.gates.shell import Shell, told, word_of
from harness.model.verdict import Verdict
from harness.ports import GateCase, GateTerms, Runner


class CommandGate:
    """`/bin/sh -c run`: passed = exit 0; failed = any other, or the time is over; broken = it could not start.

    126 and 127 are how a shell says the latter. A document's path is in HARNESS_DOCUMENT (R13).
    """

    def __init__(
        self, name: str, runner: Runner, *, run: str, timeout_seconds: float = 1800, kinds: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.kinds = tuple(kinds)
        self.terms = GateTerms()
        self._shell = Shell(runner, timeout_seconds)
        self._run = run

    async def judge(self, case: GateCase) -> Verdict:
        """Raises DiskFull: no verdict can be had then. The output is kept at `case.log`."""
        done = await self._shell.run(self._run, case, on=case.on)
        return Verdict(
            self.name, word_of(done), done.run.seconds, str(case.log), told(done), case.commit, runs=(done.run,)
        )
