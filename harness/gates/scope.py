"""The gate `scope`: the work changes only what its item was given to change (O3)."""

from __future__ import annotations

import time
from collections.abc import Sequence

from harness.gates.files import changed, listed, shown
from harness.model.globs import covered
from harness.model.verdict import FAILED, PASSED, Verdict
from harness.ports import GateCase, GateTerms, Runner


class ScopeGate:
    """Every changed path is covered by the item's `scope`, or by `always`; and by `paths`, if that is given.

    An item without a scope is bound by `paths` alone.
    """

    def __init__(
        self,
        name: str,
        runner: Runner,  # noqa: ARG002 - every gate is made with one
        *,
        paths: Sequence[str] = (),
        always: Sequence[str] = (),
        kinds: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.kinds = tuple(kinds)
        self.terms = GateTerms(proves=False, compares=True, checkout=False)
        self._paths = tuple(paths)
        self._always = tuple(always)

    async def judge(self, case: GateCase) -> Verdict:
        """Raises GitError."""
        began = time.monotonic()
        scope = case.item.scope
        paths = await changed(case)
        outside = [path for path in paths if not self._allowed(path, scope)]
        told = self._told(outside, scope) if outside else f"all {len(paths)} changed files are inside the scope"
        word, named = (FAILED, outside) if outside else (PASSED, [])
        files = tuple(shown(path) for path in named)
        return Verdict(self.name, word, time.monotonic() - began, "", told, case.commit, proves=False, files=files)

    def _allowed(self, path: str, scope: Sequence[str]) -> bool:
        if self._paths and not covered(path, self._paths):
            return False
        return not scope or covered(path, scope) or covered(path, self._always)

    def _told(self, outside: Sequence[str], scope: Sequence[str]) -> str:
        bounds = [f"the item's scope: {', '.join(scope)}"] if scope else []
        bounds += [f"for every item here: {', '.join(self._paths)}"] if self._paths else []
        return (
            f"{len(outside)} changed file(s) are outside what this item may change:\n{listed(outside)}\n"
            f"allowed is {'; '.join(bounds)}\n"
            "take these changes back (git checkout BASE -- FILE, then commit); if the work cannot be done without "
            "them, end with complete_work(blocked) and say why"
        )
