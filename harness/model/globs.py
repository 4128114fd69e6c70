"""Globs of paths inside a repository, as items' scopes and gates write them. Pure.

`*` and `?` stay within a folder, `**` crosses folders and also stands for none, so `**/test_*.py` finds one at the top
too. A pattern that names a folder covers all that is below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

FOLDERS, BELOW, ANYTHING, NAME, LETTER = "(?:.*/)?", "(?:/.*)?", ".*", "[^/]*", "[^/]"


def covered(path: str, patterns: Iterable[str]) -> bool:
    """Whether any of `patterns` covers `path` (both relative to the top, with slashes)."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(pieces(pattern)), re.DOTALL)


def pieces(pattern: str) -> tuple[str, ...]:
    """The regular expression of a pattern, in the parts that `globs_meet` can read."""
    wanted = pattern.strip().removeprefix("./").strip("/")
    found, place = [], 0
    while place < len(wanted):
        part, place = _part(wanted, place)
        found.append(part)
    return (*found, BELOW)


def _part(wanted: str, at: int) -> tuple[str, int]:
    """The next piece as a regular expression, and where the one after it begins."""
    if wanted.startswith("**/", at):
        return FOLDERS, at + 3
    if wanted.startswith("/**", at) and at + 3 == len(wanted):
        return BELOW, at + 3
    if wanted.startswith("**", at):
        return ANYTHING, at + 2
    if wanted[at] == "*":
        return NAME, at + 1
    if wanted[at] == "?":
        return LETTER, at + 1
    if (letters := _class(wanted, at)) is not None:
        return letters
    return re.escape(wanted[at]), at + 1


def _class(wanted: str, at: int) -> tuple[str, int] | None:
    """A class of letters; None if there is none, or one that nobody can read: then the bracket is a letter itself."""
    end = wanted.find("]", at + 2)
    if wanted[at] != "[" or end < 0:
        return None
    inside = wanted[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
    found = f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]"
    try:
        re.compile(found)
    except re.error:
        return None
    return found, end + 1
