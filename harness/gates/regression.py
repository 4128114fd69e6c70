"""The gate `regression`: a bug fix comes with a test that is red without the fix and green with it (P16).

the changed tests on      must be
the work                  green
the base, tests grafted   red: a test that passes without the fix proves nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.gates.files import change_of, listed, matching, shown
from harness.gates.shell import Shell, ShellRun, told, with_tests
from harness.model.verdict import BROKEN, FAILED, PASSED, GateRun, Verdict
from harness.ports import GateCase, GateTerms, Runner


@dataclass(frozen=True, slots=True)
class _Said:
    word: str
    text: str
    runs: tuple[GateRun, ...] = ()


class RegressionGate:
    """`run` is the command for the tests; `{tests}` in it stands for the changed ones. `tests` are globs of tests."""

    def __init__(
        self,
        name: str,
        runner: Runner,
        *,
        run: str,
        tests: Sequence[str],
        timeout_seconds: float = 1800,
        kinds: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.kinds = tuple(kinds)
        self.terms = GateTerms(compares=True, checkout=False)
        self._run = run
        self._tests = tuple(tests)
        self._shell = Shell(runner, timeout_seconds)

    async def judge(self, case: GateCase) -> Verdict:
        """Raises DiskFull, GitError."""
        tests = [file.path for file in await matching(case, self._tests) if file.status != "D"]
        said = await self._compared(case, tests) if tests else _Said(FAILED, self._none())
        seconds = sum(run.seconds for run in said.runs)
        log = said.runs[-1].log if said.runs else ""
        files = tuple(shown(path) for path in tests)
        return Verdict(self.name, said.word, seconds, log, said.text, case.commit, files=files, runs=said.runs)

    async def _compared(self, case: GateCase, tests: Sequence[str]) -> _Said:
        change = change_of(case)
        with_fix = await self._at(case, change.head, "head", tests)
        if not with_fix.could_start:
            return _Said(BROKEN, told(with_fix), (with_fix.run,))
        if not with_fix.run.green:
            text = f"the changed tests are red with the fix:\n{listed(tests)}\n{told(with_fix)}"
            return _Said(FAILED, text, (with_fix.run,))
        grafted = await change.graft(change.base, change.head, tests)
        without = await self._at(case, grafted, "base + tests", tests)
        return self._judged(tests, (with_fix.run, without.run), without)

    async def _at(self, case: GateCase, commit: str, on: str, tests: Sequence[str]) -> ShellRun:
        async with case.elsewhere(commit, on.replace(" + ", "-")) as place:
            return await self._shell.run(with_tests(self._run, tests), place, on=on)

    def _judged(self, tests: Sequence[str], runs: tuple[GateRun, ...], without: ShellRun) -> _Said:
        if without.run.green:
            return _Said(
                FAILED,
                f"the changed tests pass without the fix too, so they do not show the bug:\n{listed(tests)}\n"
                "change a test so that it fails on the code before the fix and passes after it",
                runs,
            )
        if not without.could_start:
            return _Said(
                FAILED,
                f"the tests could not be started on the code before the fix, so nothing is shown:\n{told(without)}\n"
                "what a test needs to start must exist without the fix, or be one of the tests' own files",
                runs,
            )
        return _Said(PASSED, f"red without the fix, green with it:\n{listed(tests)}\n{told(without)}", runs)

    def _none(self) -> str:
        return (
            "no test was added or changed: a bug fix needs a test that fails without it\n"
            f"looked for files like {', '.join(self._tests)}"
        )
