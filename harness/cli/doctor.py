"""`./loop doctor`; `scripts/verify-installation` is this command."""

from __future__ import annotations

from collections.abc import Iterable

from harness.cli.frame import command
from harness.cli.health import MARKS
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.model.text import one_line
from harness.ops import doctor as ops
from harness.ops.answers import Document

_MOST = 240


def _lines(answer: Document, where: Screen) -> Iterable[str]:
    findings = answer.facts["findings"]
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        mark, colour = MARKS[finding.level]
        yield f"{where.style(mark, colour)} {finding.check:<{width}}  {one_line(finding.found, _MOST)}"
        if finding.level != "ok":
            for word, text in (("expected", finding.expected), ("mend", finding.mend)):
                if text:
                    yield f"  {'':<{width}}  {word}: {one_line(text, _MOST)}"
    failed = sum(finding.level == "fail" for finding in findings)
    yield "ready" if not failed else f"not ready: {failed} to mend"


@command(examples=("./loop doctor", "./loop doctor --jq '.findings[] | select(.level != \"ok\")'"), text=_lines)
def doctor(call: Invocation) -> Document:
    """Is everything here that a session needs? Found, expected, how to mend. Exit 1 if something is in the way."""
    return ops.diagnose(call.home, call.environ, call.launcher)
