"""Programs that know of work: what they print becomes items by a `jq` expression (H25).

The command runs in a process of its own, without a shell, with a deadline and few variables; the expression in another
one, with none.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.model.environment import SHARED
from harness.model.errors import HarnessError, Usage
from harness.proc.ask import Answer, ask

SECONDS = 60.0
MOST_BYTES = 64 << 20
PREFIXES = ("BD_", "BEADS_")
MOST_SAID = 10


@dataclass(frozen=True, slots=True)
class Tracker:
    """`command` as a person would type it; `items` makes an object for each item of what it prints."""

    command: str
    items: str


BEADS = """
.[] | select(.issue_type != "epic" and (.status // "open") == "open")
| {id, title,
   description: ([.description,
     (.design // "" | select(. != "") | "Design:\\n" + .),
     (.acceptance_criteria // "" | select(. != "") | "Acceptance criteria:\\n" + .),
     (.notes // "" | select(. != "") | "Notes:\\n" + .)]
     | map(select(. != null and . != "")) | join("\\n\\n")),
   kind: ({"bug": "bug-fix", "task": "default"}[.issue_type // "task"] // .issue_type),
   priority: ([0, 20, 50, 80, 95][.priority // 2] // 50),
   labels: (.labels // [])}
  + (if (.assignee // "") != "" then {assigned: .assignee} else {} end)
  + (if (.external_ref // "") != "" then {external_ref} else {} end)
"""
"""What `bd ready --json` prints (bd 0.47; ten of them unless told otherwise): issues without open blockers, so their
dependencies are behind them. Those in progress are somebody's, epics only hold others together. Priorities 0 to 3 are
ours by name, 4 (backlog) comes after low.
"""
TRACKERS: Mapping[str, Tracker] = MappingProxyType({"bd": Tracker("bd ready --json --limit 100000", BEADS)})


def output_of(command: str, cwd: Path, environ: Mapping[str, str], seconds: float = SECONDS) -> bytes:
    """All that a command prints. Raises Usage for one that is none, HarnessError for one that fails or never ends."""
    try:
        argv = shlex.split(command)
    except ValueError as exc:
        raise Usage(
            f"--command {command!r}: {exc}", hint="quote it as for a shell; there is none, so no pipes"
        ) from exc
    if not argv:
        raise Usage("--command is empty", hint='./loop queue import --command "bd ready --json" --items EXPR')
    env = {name: value for name, value in environ.items() if _kept(name)}
    answer = ask(argv, cwd=cwd, env=env, seconds=seconds, most_bytes=MOST_BYTES)
    if reason := _wrong(answer, argv[0], seconds):
        said = "\n".join(answer.tail.splitlines()[-MOST_SAID:])
        raise HarnessError(f"{command}: {reason}; nothing was imported", cause=said, hint=f"try it: {command}")
    return answer.out


def _kept(name: str) -> bool:
    return name in SHARED or name == "HOME" or name.startswith(PREFIXES)


def _wrong(answer: Answer, program: str, seconds: float) -> str:
    """Why there is no answer, "" if there is one."""
    match answer.too_long, answer.code:
        case "time", _:
            return f"it took longer than {seconds:g} s"
        case "size", _:
            return f"it printed more than {MOST_BYTES >> 20} MiB"
        case _, 126 | 127:
            return f"{program} cannot be started"
        case _, 0:
            return ""
    return f"it ended with {answer.code}"
