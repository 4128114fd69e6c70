"""What a review session writes into `result.md`, and how it is read: strictly, so that nothing is approved by accident.

    verdict: approve | findings

    ## Findings

    - SEVERITY PATH[:LINE]: what is wrong          severity: blocker, major, minor
      (indented lines go on with the finding)

Under any other heading stands what the reviewer likes. `findings` needs at least one; `approve` may come with minor
ones, which are kept and hold nothing up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.model.text import plain

REVIEW = "review"
"""The name of its verdict among those of the gates."""
SEVERITIES = ("blocker", "major", "minor")
"""Worst first."""
MOST_FINDINGS = 200
MOST_TOLD = 4000
"""Characters of findings that verdict, evidence and the next prompt have; all of them are in the document."""

_VERDICT = re.compile(r"verdict:\s*(approve|findings)\s*", re.IGNORECASE)
_FINDING = re.compile(
    r"[-*]\s+\**(blocker|major|minor)\**:?\s+`?([^`]+?)(?::(\d+)(?:-\d+)?)?`?:\s+(\S.*)", re.IGNORECASE
)


class Unreadable(ValueError):
    """A document that gives no verdict; the message says what is wrong with it, to whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: `line` None = the whole file, or what is missing from it."""

    severity: str
    path: str
    line: int | None
    text: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"- {self.severity} {place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Review:
    """A verdict that could be read; `findings` worst first."""

    approved: bool
    findings: tuple[Finding, ...] = ()

    def told(self) -> str:
        """The findings as lines, worst first, cut at MOST_TOLD."""
        shown: list[str] = []
        for number, finding in enumerate(self.findings):
            line = str(finding)
            if sum(map(len, shown)) + len(shown) + len(line) > MOST_TOLD - 60:
                shown.append(f"… and {len(self.findings) - number} more in the review's result.md")
                break
            shown.append(line)
        return "\n".join(shown)


def read_review(text: str) -> Review:
    """Raises Unreadable naming the line that is not in the form, or what is missing or contradicts itself."""
    lines = plain(text).splitlines()
    verdict = _verdict(lines)
    findings = _findings(lines)
    if len(findings) > MOST_FINDINGS:
        raise Unreadable(f"{len(findings)} findings; at most {MOST_FINDINGS}, the worst")
    worst_first = tuple(sorted(findings, key=lambda each: SEVERITIES.index(each.severity)))
    if verdict == "findings" and not findings:
        raise Unreadable("the verdict is findings, but there is none under '## Findings'")
    if verdict == "approve" and worst_first and worst_first[0].severity != "minor":
        raise Unreadable(f"the verdict is approve, but there is a {worst_first[0].severity} finding")
    return Review(verdict == "approve", worst_first)


def _verdict(lines: list[str]) -> str:
    """Exactly one line gives it: two could contradict each other."""
    found = [match[1].lower() for line in lines if (match := _VERDICT.fullmatch(line.strip().strip("*`")))]
    if len(found) != 1:
        raise Unreadable(f"{len(found) or 'no'} lines 'verdict: approve' or 'verdict: findings'; there must be one")
    return found[0]


def _findings(lines: list[str]) -> list[Finding]:
    """The list under the heading Findings."""
    found: list[Finding] = []
    inside = False
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            inside = line.strip("# ").lower() == "findings"
        elif inside and line.strip():
            _take(line, number, found)
    return found


def _take(line: str, number: int, found: list[Finding]) -> None:
    """One line under the heading: a new finding, or more of the last one."""
    if match := _FINDING.fullmatch(line.rstrip()):
        at = int(match[3]) if match[3] else None
        found.append(Finding(match[1].lower(), match[2].strip(), at, match[4]))
    elif line[0] in " \t" and found:
        found[-1] = replace(found[-1], text=f"{found[-1].text} {line.strip()}")
    elif not (not found and line.strip().lower() in {"none", "none."}):
        raise Unreadable(f"line {number} is no finding '- SEVERITY PATH:LINE: what is wrong': {line[:200]!r}")
