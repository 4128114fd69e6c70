"""The gate `clean`: nothing is left behind in the tree once the other gates have run (O6)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.gates.files import listed, shown
from harness.model.globs import covered
from harness.model.verdict import FAILED, PASSED, Verdict
from harness.ports import GateCase, GateTerms, Runner


class CleanGate:
    """Red if a gate changed a tracked file, or left one that no `.gitignore` names and `allow` does not cover."""

    def __init__(
        self,
        name: str,
        runner: Runner,  # noqa: ARG002 - every gate is made with one
        *,
        allow: Sequence[str] = (),
        kinds: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.kinds = tuple(kinds)
        self.terms = GateTerms(proves=False, checkout=False, after=True)
        self._allow = tuple(allow)

    async def judge(self, case: GateCase) -> Verdict:
        left = {gate: [path for path in paths if not covered(path, self._allow)] for gate, paths in case.left.items()}
        left = {gate: paths for gate, paths in left.items() if paths}
        files = tuple(dict.fromkeys(shown(path) for paths in left.values() for path in paths))
        text = _told(left) if left else f"{len(case.left)} gate(s) left the tree as it was"
        return Verdict(self.name, FAILED if left else PASSED, 0.0, "", text, case.commit, proves=False, files=files)


def _told(left: dict[str, list[str]]) -> str:
    parts = [f"gate {gate} leaves behind, changed or untracked and not ignored:\n{listed(left[gate])}" for gate in left]
    mend = "let tests write to a temporary folder, commit what belongs to the work, or name it in .gitignore"
    return "\n".join([*parts, mend])
