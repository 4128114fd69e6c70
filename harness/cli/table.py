"""Every command of contract 3: where it is, one line of help, which seed commands it answers. Data only.

A command without a target is not built in this version: it exits 2 and says so. Groups resolve their commands from
here, so a command costs only its own imports. The rows are in `harness.cli.rows`.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.cli.rows import Entry
from harness.cli.rows.surroundings import HOUSE, PRODUCTION, REPOSITORIES
from harness.cli.rows.work import DAILY, WORK

GROUPS = {
    "agent": "The agents of the configuration.",
    "audit": "Is what is on record true? Routes, and where failures concentrate.",
    "auth": "Whose account agents use.",
    "backup": "State and configuration, kept and restored.",
    "config": "config.yaml in force.",
    "decision": "Questions to a person.",
    "fatal": "Issues that nothing recovers from.",
    "gate": "Judges of sealed work, and of a checkout.",
    "issue": "Conditions found by monitor rules.",
    "merge": "Bringing sealed work to its branch.",
    "notify": "Who is told what.",
    "policy": "What agents may not do.",
    "pr": "Pull requests.",
    "prompt": "What agents are given to read.",
    "queue": "Work items: the queue and what was finished.",
    "repo": "Registered repositories.",
    "schedule": "Recurring commands.",
    "service": "External processes that are supervised.",
    "service-unit": "The loop under a service manager.",
    "session": "Sessions of agents: what they did, used and said.",
    "state": "The state folder as a whole.",
    "store": "The database.",
    "sweep": "Verifying a numeric range.",
    "task": "Tasks as markdown.",
    "telemetry": "Telemetry kept in files.",
    "waiver": "Time-bounded waivers of the start gate.",
    "wip": "Autosaves of unfinished work.",
    "worktree": "Workspaces.",
}

COMMANDS: tuple[Entry, ...] = (*DAILY, *WORK, *PRODUCTION, *REPOSITORIES, *HOUSE)
"""In the order in which help shows them."""


def below(group: str) -> Iterator[tuple[str, Entry | None]]:
    """Names one level below a group ("" = the top), each with its entry; None for a group. In the table's order."""
    prefix, seen = f"{group} " if group else "", set()
    for entry in COMMANDS:
        if not entry.path.startswith(prefix):
            continue
        name, _, rest = entry.path.removeprefix(prefix).partition(" ")
        if name not in seen:
            seen.add(name)
            yield name, None if rest else entry
