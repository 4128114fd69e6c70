"""The words of a command line before click reads them. Standard library only: it is the first module to be loaded."""

from __future__ import annotations

from collections.abc import Sequence

_WITH_VALUE = frozenset({"-C", "--directory", "--jq", "--timeout", "--launched-as"})
_FLAGS = frozenset({"--json", "--no-color"})
_HELP = frozenset({"-h", "--help"})


def with_command(words: list[str]) -> list[str]:
    """`./loop` is `./loop run`, with or without options of its own (contract 3)."""
    place = _place_of_command(words)
    if place < len(words) and (words[place] in _HELP or not words[place].startswith("-")):
        return words
    return [*words[:place], "run", *words[place:]]


def is_loop(words: Sequence[str]) -> bool:
    """Whether this process is to become a loop, or a worker beside one."""
    complete = with_command(list(words))
    place = _place_of_command(complete)
    return complete[place : place + 1] in (["run"], ["worker"])


def _place_of_command(words: Sequence[str]) -> int:
    """Behind the options that every command has."""
    place = 0
    while place < len(words):
        word = words[place]
        if word in _WITH_VALUE:
            place += 2
        elif word in _FLAGS or word.partition("=")[0] in _WITH_VALUE or (word[:2] == "-C" and word != "-C"):
            place += 1
        else:
            break
    return place
