"""The items that follow an integration: a review of what it brought, the mending of a build that failed (P13, P3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from harness.app.planner import ConfigPlanner
from harness.model.itemform import parse_item
from harness.model.journal import Followup
from harness.model.text import one_line
from harness.model.work import WorkItem
from harness.ops.forms import form_of
from harness.ports import Clock

MOST_TITLE = 120
_REVIEW = """\
{item} ({kind}) was integrated into {branch} of {repo}: {title}

Review exactly what it brought: `git log -p {base}..{merged}`. Read what is around it as far as you need to judge it.
Look for faults, for cases that are not handled, and for tests that prove less than they seem to.
Add one work item (`add_work_item`) for each thing that must be mended, and name the commit {merged} in it.
"""
_MEND = """\
The build of {branch} in {repo} fails since {merged}, which brought {item}: {title}

It was run in a clean checkout of that commit; what was built before stays in use until a build succeeds again.
Find out why, and mend it. The end of its output:

{said}
"""


@dataclass(frozen=True, slots=True)
class ConfigErrands:
    """Implements engine.plan.Errands on the configuration that the planner has now."""

    planner: ConfigPlanner
    clock: Clock

    def review(self, item: WorkItem, step: Followup) -> WorkItem:
        """In lane `review`; of a kind that leaves a document, so nothing of it is integrated and nothing follows it."""
        facts = {
            "id": f"review-{step.integration}-{step.merged[:12]}",
            "kind": "review",
            "lane": "review",
            "title": one_line(f"Review {step.merged[:12]}: {item.title}", MOST_TITLE),
            "description": _REVIEW.format(**_facts(item, step)),
        }
        return self._made(facts, item, f"review:{step.repo}:{step.merged}")

    def mend(self, item: WorkItem, step: Followup, said: str) -> WorkItem:
        facts = {
            "title": one_line(f"Mend the build of {step.repo}, red since {step.merged[:12]}", MOST_TITLE),
            "priority": "high",
            "description": _MEND.format(**_facts(item, step), said=said),
        }
        return self._made(facts, item, f"build:{step.repo}")

    def _made(self, facts: Mapping[str, Any], item: WorkItem, dedupe_key: str) -> WorkItem:
        form, now = form_of(self.planner.loaded, f"integration:{item.id}"), self._now()
        document = {**facts, "repo": self.planner.repository(item).name, "branch": item.branch}
        made = parse_item({key: value for key, value in document.items() if value is not None}, form, now)
        return replace(made, dedupe_key=dedupe_key)

    def _now(self) -> datetime:
        return self.clock.now()


def _facts(item: WorkItem, step: Followup) -> Mapping[str, str]:
    names = ("branch", "repo", "base", "merged")
    return {"item": item.id, "kind": item.kind, "title": item.title} | {name: getattr(step, name) for name in names}
