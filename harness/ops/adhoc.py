"""The end of `run --once "objective"`: outcome, base, branch, diff stat, and the command to review or take it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.model.errors import NotFound
from harness.model.home import Home
from harness.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class AdhocResult:
    item: str
    outcome: str
    reason: str
    base: str
    branch: str
    commit: str
    diffstat: str
    review: str
    take: str

    def lines(self) -> Iterable[str]:
        yield f"{self.outcome}: {self.item} ({self.reason})"
        if self.commit:
            yield f"base {self.base[:12]} of {self.branch}, work {self.commit[:12]}"
            yield self.diffstat
            yield f"review:  {self.review}"
            yield f"take:    {self.take}"
        else:
            yield f"why:     {self.review}"


def result_of(home: Home, repository: Path, item_id: str, program: str = "./loop") -> AdhocResult:
    """Read from the store and the refs what became of an ad-hoc item; its commands can be pasted into a shell.

    `program` is how the caller reached the loop. Raises NotFound.
    """
    store = SqliteStore(home.database, gate=None, read_only=True)
    try:
        item, attempts = store.item(item_id), store.attempts(item_id)
    finally:
        store.close()
    if item is None:
        raise NotFound(f"no item {item_id} in {home.root}")
    last = attempts[-1] if attempts else None
    commit = (last.seal or "") if last and item.outcome in ("claimed", "verified") else ""
    base = (last.base or "") if last else ""
    ours = f"{shlex.quote(program)} -C {shlex.quote(str(home.root))}"
    review = f"git -C {shlex.quote(str(repository))} diff {base[:12]} {commit[:12]}"
    return AdhocResult(
        item_id,
        item.outcome or str(item.state),
        item.reason,
        base,
        item.branch or "",
        commit,
        _git(repository, "diff", "--stat", base, commit) if commit else "",
        review if commit else f"{ours} why {item_id}",
        f"{ours} merge apply {item_id}",
    )


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.rstrip()
