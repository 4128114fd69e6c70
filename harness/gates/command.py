"""The gate `command`: a shell command in a clean checkout; its exit status is the verdict (contract 8)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from harness.model.errors import DiskFull, HarnessError
from harness.model.outcome import Verdict
from harness.model.text import plain, tail
from harness.ports import Ended, GateCase, Runner

MOST_TAIL = 4096
_NOT_STARTED = frozenset({126, 127})


class CommandGate:
    """`/bin/sh -c run`, contained: it is the agent's code that runs, so nothing it starts outlives the verdict.

    passed = exit 0; failed = any other, or the time is over; broken = it could not start (126, 127). A document's path
    is in HARNESS_DOCUMENT (R13).
    """

    def __init__(
        self, name: str, run: str, runner: Runner, *, timeout_seconds: float = 1800, kinds: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.kinds = tuple(kinds)
        self._run = run
        self._runner = runner
        self._timeout_seconds = timeout_seconds

    async def judge(self, case: GateCase) -> Verdict:
        """Raises DiskFull: no verdict can be had then. The whole output is kept at `case.log`."""
        began = time.monotonic()
        try:
            ended = await self._contained(case)
        except DiskFull:
            raise
        except HarnessError as exc:
            return self._verdict(case, "broken", time.monotonic() - began, exc.message)
        return self._verdict(case, _word(ended), ended.seconds, self._told(ended))

    async def _contained(self, case: GateCase) -> Ended:
        for folder in (case.log.parent, case.scratch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        document = {"HARNESS_DOCUMENT": str(case.document)} if case.document is not None else {}
        return await self._runner(
            ["/bin/sh", "-c", self._run],
            cwd=case.folder,
            env={**case.environment, **document},
            log=case.log,
            session=f"gate_{secrets.token_hex(6)}",
            folder=case.scratch,
            timeout_seconds=self._timeout_seconds,
        )

    def _told(self, ended: Ended) -> str:
        """The end of the output, and what the output cannot tell."""
        said = tail(plain(ended.tail).strip(), MOST_TAIL)
        if ended.timed_out:
            return f"{said}\n[not finished after {self._timeout_seconds:g} s]"
        return f"{said}\n[exit {ended.code}]" if ended.code else said

    def _verdict(self, case: GateCase, word: str, seconds: float, told: str) -> Verdict:
        return Verdict(self.name, word, seconds, str(case.log), told.strip(), case.commit)


def _word(ended: Ended) -> str:
    if ended.timed_out:
        return "failed"
    if ended.code in _NOT_STARTED:
        return "broken"
    return "failed" if ended.code else "passed"
