"""The gate `tamper`: whoever is judged does not bend the judge.

the work changes or deletes                    then
CI, hooks, agent settings, git attributes      a person is asked
a test that was there, and `run` is given      the base's version of it runs on the work: red = a person is asked
                                               (or failed, with `on_red: fail`); red on the base too = nothing
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.gates.files import change_of, listed, matching, shown
from harness.gates.shell import Shell, ShellRun, told, with_tests
from harness.model.verdict import ASKS, BROKEN, FAILED, PASSED, GateRun, Verdict
from harness.ports import GateCase, GateTerms, Runner


class TamperGate:
    """`approval` are globs of what nobody changes without a person's yes, `tests` those of tests; `run` as in
    `regression`, None = tests are not looked at. `on_red`: ask or fail.
    """

    def __init__(
        self,
        name: str,
        runner: Runner,
        *,
        approval: Sequence[str],
        tests: Sequence[str],
        run: str | None = None,
        on_red: str = "ask",
        timeout_seconds: float = 1800,
        kinds: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.kinds = tuple(kinds)
        self.terms = GateTerms(proves=False, compares=True, checkout=False)
        self._approval = tuple(approval)
        self._tests = tuple(tests)
        self._run = run
        self._on_red = FAILED if on_red == "fail" else ASKS
        self._shell = Shell(runner, timeout_seconds)

    async def judge(self, case: GateCase) -> Verdict:
        """Raises DiskFull, GitError."""
        protected = [file.path for file in await matching(case, self._approval)]
        old = [file.path for file in await matching(case, self._tests) if file.status != "A"] if self._run else []
        word, text, runs = await self._old_tests(case, self._run, old) if self._run and old else (PASSED, "", ())
        if protected and word in (PASSED, ASKS):
            asks = f"this work changes files that need a person's approval:\n{listed(protected)}"
            word, text = ASKS, f"{asks}\n{text}".strip()
        return Verdict(
            self.name,
            word,
            sum(run.seconds for run in runs),
            runs[-1].log if runs else "",
            text or "nothing that judges or configures was changed",
            case.commit,
            proves=False,
            files=tuple(shown(path) for path in dict.fromkeys([*protected, *old])),
            runs=runs,
        )

    async def _old_tests(self, case: GateCase, run: str, tests: Sequence[str]) -> tuple[str, str, tuple[GateRun, ...]]:
        """The tests as they were before, on the work; if they are red, on the base as well."""
        change, command = change_of(case), with_tests(run, tests)
        on_work = await self._at(case, await change.graft(change.head, change.base, tests), "head + tests", command)
        if on_work.run.green:
            return PASSED, f"the tests as they were before still pass:\n{listed(tests)}", (on_work.run,)
        if not on_work.could_start:
            return BROKEN, told(on_work), (on_work.run,)
        on_base = await self._at(case, change.base, "base", command)
        runs = (on_work.run, on_base.run)
        if not on_base.run.green:
            return PASSED, f"changed tests were red before this work too:\n{listed(tests)}", runs
        return self._on_red, _weakened(tests, on_work), runs

    async def _at(self, case: GateCase, commit: str, on: str, command: str) -> ShellRun:
        async with case.elsewhere(commit, on.replace(" + ", "-")) as place:
            return await self._shell.run(command, place, on=on)


def _weakened(tests: Sequence[str], red: ShellRun) -> str:
    return (
        "tests were changed or deleted, and as they were before they fail on this work; "
        f"is the change of behaviour meant?\n{listed(tests)}\n{told(red)}"
    )
