"""What is asked before a push (`before_push`, C18): local checks like the remote ones, each with a word to say.

A check reads what is to be pushed as JSON from its input, and runs in a clean checkout of it, contained. Any exit but 0
refuses. What it writes to HARNESS_REPORT is kept in the report of the push; of an object `step`, `reason` and `mend`
are told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import fs
from harness.app.commands import Commands, Order, Told
from harness.app.planner import ConfigPlanner
from harness.config.after import PushCheckSection
from harness.engine.plan import PushOrder
from harness.model.home import Home
from harness.model.text import one_line, plain, tail
from harness.ports import Clock, Merger

SCHEMA, REPORT = "loop.push/1", "loop.push-report/1"
MOST_TAIL, MOST_WORDS, MOST_REPORTS = 4000, 300, 200


@dataclass(frozen=True, slots=True)
class PushChecks:
    """Implements engine.plan.PushGuard on the configuration that the planner has now."""

    planner: ConfigPlanner
    commands: Commands
    merger: Merger
    home: Home
    clock: Clock

    def asks(self, repo: str) -> str:
        return json.dumps([check.model_dump(mode="json") for check in self._checks(repo)])

    def _checks(self, repo: str) -> Sequence[PushCheckSection]:
        section = self.planner.loaded.config.repository(repo)
        return section.before_push if section is not None else ()

    async def refusal(self, order: PushOrder) -> str:
        """One report a commit is kept, `state/pushes/<repository>/<commit>.json`. Raises HarnessError."""
        checks = self._checks(order.repo.name)
        if not checks:
            return ""
        description = await self._description(order)
        asked: list[Mapping[str, Any]] = []
        for check in checks:
            told = await self._ask(check, order, description)
            asked.append(_word(check, told))
            if not told.green:
                break
        path = self._kept(order, description, asked)
        return "" if asked[-1]["verdict"] == "passed" else _reason(asked[-1], path)

    async def _description(self, order: PushOrder) -> Mapping[str, Any]:
        lines = await self.merger.describe(order.repo, order.base, order.commit)
        facts = {"schema": SCHEMA, "repo": order.repo.name, "branch": order.branch, "base": order.base}
        return {**facts, "commit": order.commit, "items": list(order.items), "commits": list(lines)}

    async def _ask(self, check: PushCheckSection, order: PushOrder, description: Mapping[str, Any]) -> Told:
        given = {"HARNESS_PUSH": f"{json.dumps(description)}\n".encode()}
        run = f'exec < "$HARNESS_PUSH"\n{check.run}'
        command = Order("push", order.repo.name, run, check.timeout_seconds, given, "HARNESS_REPORT")
        async with self.merger.bench(order.repo, order.commit) as folder:
            return await self.commands.run(command, folder)

    def _kept(self, order: PushOrder, description: Mapping[str, Any], asked: Sequence[Mapping[str, Any]]) -> Path:
        folder = self.home.pushes / order.repo.name
        path = folder / f"{order.commit[:12]}.json"
        document = {**description, "schema": REPORT, "verdict": asked[-1]["verdict"], "checks": list(asked)}
        document["at"] = self.clock.now().isoformat(timespec="seconds")
        fs.replace(path, f"{json.dumps(document, indent=1)}\n")
        for old in sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime)[:-MOST_REPORTS]:
            old.unlink(missing_ok=True)
        return path


def _word(check: PushCheckSection, told: Told) -> Mapping[str, Any]:
    ended = told.ended
    verdict = "passed" if told.green else "broken" if ended.code in (126, 127) and not ended.timed_out else "refused"
    report = _report(told.answer)
    said = report if isinstance(report, dict) else {}
    mend = _text(said.get("mend")) or check.mend
    return {
        "name": check.name,
        "verdict": verdict,
        "exit": ended.code,
        "timed_out": ended.timed_out,
        "seconds": round(ended.seconds, 3),
        "step": _text(said.get("step")),
        "reason": _text(said.get("reason")),
        "mend": mend,
        "tail": tail(plain(ended.tail).strip(), MOST_TAIL),
        "log": str(told.log),
        "report": report,
    }


def _report(raw: bytes | None) -> Any:
    """What the check wrote; None for nothing, its beginning as text for what is no JSON."""
    if raw is None:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return plain(raw.decode("utf-8", "replace"))[:MOST_TAIL]


def _text(value: object) -> str:
    return one_line(plain(value), MOST_WORDS) if isinstance(value, str) else ""


def _reason(word: Mapping[str, Any], path: Path) -> str:
    """Who refused at which step and why, what helps, and where all of it is."""
    late = f"not finished after {word['seconds']:g} s" if word["timed_out"] else f"exit {word['exit']}"
    last = next(iter(reversed(word["tail"].splitlines())), "")
    step = f" at {word['step']}" if word["step"] else ""
    mend = f"; {word['mend']}" if word["mend"] else ""
    why = word["reason"] or one_line(last, MOST_WORDS) or late
    return f"before_push: {word['name']} {word['verdict']}{step}: {why}{mend} (report {path})"
