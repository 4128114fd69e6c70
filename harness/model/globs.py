"""Globs of paths inside a repository, as items' scopes and gates write them. Pure.

`*` and `?` stay within a folder, `**` crosses folders and also stands for none, so `**/test_*.py` finds one at the top
too. A pattern that names a folder covers all that is below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def covered(path: str, patterns: Iterable[str]) -> bool:
    """Whether any of `patterns` covers `path` (both relative to the top, with slashes)."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    wanted = pattern.strip().removeprefix("./").strip("/")
    body, place = "", 0
    while place < len(wanted):
        part, place = _part(wanted, place)
        body += part
    return re.compile(f"{body}(?:/.*)?", re.DOTALL)


def _part(wanted: str, at: int) -> tuple[str, int]:
    """The next piece as a regular expression, and where the one after it begins."""
    if wanted.startswith("**/", at):
        return "(?:.*/)?", at + 3
    if wanted.startswith("/**", at) and at + 3 == len(wanted):
        return "(?:/.*)?", at + 3
    if wanted.startswith("**", at):
        return ".*", at + 2
    if wanted[at] == "*":
        return "[^/]*", at + 1
    if wanted[at] == "?":
        return "[^/]", at + 1
    if wanted[at] == "[" and (end := wanted.find("]", at + 2)) > 0:
        inside = wanted[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
        return f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]", end + 1
    return re.escape(wanted[at]), at + 1
