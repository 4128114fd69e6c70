"""Whether two globs cover a path in common: both are read as automata, which are walked side by side. Pure.

Exact for the patterns of `model.globs`, whatever files there are: two items may still have to create theirs. But for
one thing: a last part with an ending, `parser.py` or `*.md`, means files here, unless the other glob goes on inside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from harness.model.globs import ANYTHING, BELOW, FOLDERS, LETTER, NAME, pieces

_ANY, _SLASH = ".", "/"
_SPECIAL = re.compile(r"[*?\[]")
_FILES = re.compile(r"(?:.*/)?[^/]+\.[A-Za-z0-9]+", re.DOTALL)


def meet(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether any pattern of `one` covers a path that any of `other` covers, too."""
    others = tuple(other)
    return any(_meet(left, right) for left in one for right in others)


@lru_cache(maxsize=65536)
def _meet(one: str, other: str) -> bool:
    if not _may_begin_alike(_head(one), _head(other)):
        return False
    if _all_below(one, other) or _all_below(other, one):
        return True
    left, right = _automaton(one), _automaton(other)
    open_ones, seen = [(0, 0)], {(0, 0)}
    while open_ones:
        a, b = open_ones.pop()
        if (a, b) == (left.end, right.end):
            return True
        new = set(_after(left, right, a, b)) - seen
        seen |= new
        open_ones += new
    return False


def _may_begin_alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


@lru_cache(maxsize=65536)
def _head(pattern: str) -> str:
    """How every path that it covers begins."""
    return _SPECIAL.split(_plain(pattern), maxsplit=1)[0].rstrip("/")


def _all_below(folder: str, other: str) -> bool:
    """The usual case, at once: `folder` is one, written out, and all that `other` covers is inside."""
    name = _plain(folder).removesuffix("/**")
    return _SPECIAL.search(name) is None and _SPECIAL.split(_plain(other), maxsplit=1)[0].startswith(f"{name}/")


def _plain(pattern: str) -> str:
    return pattern.strip().removeprefix("./").strip("/")


@dataclass(slots=True)
class _Automaton:
    """`steps`: per state, what it takes (a class of one character), and where that leads; `free` costs no character."""

    steps: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    free: dict[int, list[int]] = field(default_factory=dict)
    end: int = 0

    def step(self, at: int, takes: str, to: int) -> None:
        self.steps.setdefault(at, []).append((takes, to))

    def skip(self, at: int, to: int) -> None:
        self.free.setdefault(at, []).append(to)

    def add(self, piece: str) -> None:
        """A piece of the regular expression behind what there is."""
        at = self.end
        inside, self.end = at + 1, at + 2
        match piece:
            case _ if piece == FOLDERS:
                self.skip(at, inside)
                self.step(inside, _ANY, inside)
                self.step(inside, _SLASH, self.end)
                self.skip(at, self.end)
            case _ if piece == BELOW:
                self.step(at, _SLASH, inside)
                self.step(inside, _ANY, inside)
                self.skip(inside, self.end)
                self.skip(at, self.end)
            case _ if piece in (ANYTHING, NAME):
                self.skip(at, inside)
                self.step(inside, _ANY if piece == ANYTHING else LETTER, inside)
                self.skip(inside, self.end)
            case _:
                self.step(at, piece, self.end)


@lru_cache(maxsize=4096)
def _automaton(pattern: str) -> _Automaton:
    made = _Automaton()
    found = pieces(pattern)
    for piece in found[:-1] if _FILES.fullmatch(pattern.strip()) else found:
        made.add(piece)
    return made


def _after(left: _Automaton, right: _Automaton, a: int, b: int) -> Iterator[tuple[int, int]]:
    yield from ((to, b) for to in left.free.get(a, ()))
    yield from ((a, to) for to in right.free.get(b, ()))
    for takes, to in left.steps.get(a, ()):
        yield from ((to, then) for too, then in right.steps.get(b, ()) if _common(takes, too))


@lru_cache(maxsize=65536)
def _common(one: str, other: str) -> bool:
    """Whether a character is in both classes. What they tell apart are the characters that they name: of those, the
    ones beside them, and any other, one stands for all.
    """
    if one == other or _ANY in (one, other):
        return True
    named = {letter for text in (one, other) for letter in text}
    samples = {chr(ord(letter) + beside) for letter in named for beside in (-1, 0, 1) if ord(letter) + beside > 0}
    return any(_takes(one, sample) and _takes(other, sample) for sample in samples)


def _takes(pattern: str, letter: str) -> bool:
    return re.fullmatch(pattern, letter, re.DOTALL) is not None
