"""The changed files of a case as gates and people read them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.globs import covered
from harness.ports import Change, ChangedFile, GateCase

MOST_LISTED = 20


def change_of(case: GateCase) -> Change:
    """Raises ValueError for a document, which changes nothing; the configuration keeps such gates away from it."""
    if case.change is None:
        raise ValueError("a gate that compares was given nothing to compare")
    return case.change


async def changed(case: GateCase) -> list[str]:
    """All changed paths. Raises GitError."""
    return [file.path for file in await change_of(case).files()]


async def matching(case: GateCase, patterns: Sequence[str]) -> list[ChangedFile]:
    """The changed files that `patterns` cover. Raises GitError."""
    return [file for file in await change_of(case).files() if covered(file.path, patterns)]


def listed(paths: Sequence[str]) -> str:
    """One line a path, not more than a person reads."""
    lines = [f"  {shown(path)}" for path in paths[:MOST_LISTED]]
    left = len(paths) - len(lines)
    return "\n".join([*lines, *([f"  … and {left} more"] if left else [])])


def shown(path: str) -> str:
    """A path for people; bytes that are not UTF-8 are escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
