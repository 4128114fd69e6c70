"""What goes wrong around the loop, and how it shows: one table for operators, the reference page and the tests (A7).

No situation counts an attempt against an item, and none loses one. What goes wrong inside a session is in ENDINGS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Shows(StrEnum):
    """Where a situation is met: the command is refused, a session ends so, the loop pauses, or a line says so."""

    ERROR = "error"
    ENDING = "ending"
    PAUSE = "pause"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Situation:
    """One row. `name` is an error's kind, an ending, a pause's source or an event, as `shows` says.

    `exit_code` is that of `./loop run --once` (contract 4); `then` tells what a loop does that goes on; `next` is the
    command or step that helps.
    """

    key: str
    what: str
    shows: Shows
    name: str
    exit_code: int
    then: str
    next: str


_REFUSED = "it does not start"
_PROBED = "paused as a whole; one session tries again after 1 min, doubling, at most 30 min"
_LATER = "the item waits for 0-30 s, doubling, at most 15 min"


def _refused(key: str, what: str, error: str, exit_code: int, next_: str) -> Situation:
    return Situation(key, what, Shows.ERROR, error, exit_code, _REFUSED, next_)


def _ended(key: str, what: str, ending: str, exit_code: int, then: str, next_: str) -> Situation:
    return Situation(key, what, Shows.ENDING, ending, exit_code, then, next_)


_ROWS = (
    _refused("no-repository", "config.yaml names no repository", "config", 78, "./loop init --repo PATH --test CMD"),
    _refused("unknown-key", "config.yaml has an unknown key or value", "config", 78, "./loop config check"),
    _refused("broken-template", "a template cannot be read as one", "template", 78, "./loop prompt list"),
    _refused("cli-missing", "the Claude CLI is not there or cannot be started", "tool_missing", 69, "./loop doctor"),
    _refused("not-authenticated", "there is no key, token or login", "auth", 77, "./loop auth login"),
    _refused(
        "root",
        "root, without IS_SANDBOX=1 and without isolation level outer",
        "config",
        78,
        "run as an ordinary user, or set IS_SANDBOX=1 in a container made for this",
    ),
    _refused(
        "isolation-missing",
        "`isolation.required: true`, and the level cannot be reached",
        "config",
        78,
        "set isolation.required: false, or do what ./loop doctor says",
    ),
    _refused("second-instance", "another loop runs on the same state", "busy", 75, "./loop status, ./loop stop"),
    _refused(
        "newer-database",
        "a newer version wrote state/harness.db",
        "store",
        1,
        "run the newer version again, or ./loop backup list",
    ),
    _ended("unreachable", "the endpoint cannot be reached", "api_down", 1, _LATER, "./loop doctor"),
    _ended("http-401", "the API answers 401 or 403", "auth", 77, _PROBED, "./loop auth status, then ./loop resume"),
    _ended(
        "http-429",
        "the API answers 429",
        "throttled",
        5,
        "no session starts until the reset that the API named, else after 1 min, doubling, at most 30 min",
        "wait: ./loop status says until when",
    ),
    _ended("http-529", "the API answers 529 or another server error", "api_down", 1, _LATER, "./loop doctor"),
    _ended(
        "template-breaks",
        "a template breaks for one item only (a variable that is not there, too long, too slow)",
        "template",
        1,
        "items of that kind wait; one tries again after 1 min, doubling, at most 30 min",
        "./loop prompt render ITEM, then ./loop resume",
    ),
    _ended(
        "repository-missing",
        "the folder of a repository is gone or no git repository",
        "repo_missing",
        1,
        "the item is parked at once, others go on",
        "put it back, then ./loop queue retry ITEM",
    ),
    Situation(
        "disk-nearly-full",
        "less than 50 MiB or 1 % is free where state/ lives",
        Shows.PAUSE,
        "disk",
        5,
        "paused as a whole; goes on by itself at twice as much free space",
        "make space; ./loop status says how much is free",
    ),
    Situation(
        "queue-file-unparsable",
        "state/queue.json was edited and is no JSON list",
        Shows.NOTE,
        "queue.problem",
        0,
        "the file is left alone and named with line and column; the queue goes on as it was",
        "mend the file, then ./loop queue check",
    ),
)

SITUATIONS: Mapping[str, Situation] = MappingProxyType({row.key: row for row in _ROWS})
"""By key, in the order in which an operator meets them: before the start, in a session, around the loop."""
