"""docs/reference/commands.md and seed-commands.md, made from the table and the commands themselves:
`python -m harness.cli.reference commands|seeds > docs/reference/….md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from harness.cli.frame import HELP, LazyGroup
from harness.cli.invocation import Invocation
from harness.cli.rows import Entry
from harness.cli.seeds import AS_THEY_STAND
from harness.cli.table import COMMANDS, GROUPS

_COMMANDS = """# Commands

Made from the program by `python -m harness.cli.reference commands`, kept current by a test. Every command takes
`--json`, `--jq EXPR`, `-C DIR`, `--no-color`, `--timeout SECONDS` and `--help`, before or after its name; `./loop`
alone is `./loop run`. Data goes to stdout, messages to stderr; JSON: [json.md](json.md).

| exit code | means |
|---|---|
| 0 | yes, done, ended as asked |
| 1 | it ran, and the answer is no |
| 2 | usage, a missing confirmation, or a command that is not built in this version |
| 3 | the loop is not running |
| 4 | no such object |
| 5 | paused, or waiting for a person |
| 7 | a fatal issue is on record |
| 69 | a needed tool is missing |
| 75 | temporary: another instance holds the lock |
| 77 | not authenticated |
| 78 | bad configuration or template, or root without isolation |
| 124 | its own `--timeout` |
| 130, 143 | ended by force |
"""
_SEEDS = """# Commands of the source documents

Made from the command table by `python -m harness.cli.reference seeds`, kept current by a test. Commands that are not
built in this version exit 2 and say so. `scripts/*.sh` are the guide's own names for the same commands.

| there | here | built |
|---|---|---|
"""
_PLAIN = """
## As they stand

Ordinary tools on the documented files; they work unchanged.

| command | why |
|---|---|
"""


def commands_page() -> str:
    """Every command with its help; those that are not built in one list."""
    context = click.Context(LazyGroup(), info_name="./loop", obj=Invocation())
    built = [entry for entry in COMMANDS if entry.built]
    later = ", ".join(f"`{entry.path}`" for entry in COMMANDS if not entry.built)
    sections = "".join(_section(context, entry) for entry in built)
    return f"{_COMMANDS}{sections}\n## Not built in this version\n\n{later}\n"


def _section(context: click.Context, entry: Entry) -> str:
    command: click.Command | None = LazyGroup()
    for name in entry.path.split():
        assert isinstance(command, LazyGroup)
        command = command.get_command(context, name)
    assert command is not None
    own = click.Context(command, info_name=f"./loop {entry.path}", obj=Invocation(), terminal_width=100, **HELP)
    help_ = command.get_help(own).split("\nEverywhere:")[0].rstrip()
    examples = "\n".join(getattr(command, "examples", ()))
    return f"\n## {entry.path}\n\n```\n{help_}\n```\n" + (f"\n```sh\n{examples}\n```\n" if examples else "")


def seeds_page() -> str:
    """Every command of the five source documents and ours for it."""
    rows = [f"| `{_cell(seed)}` | `./loop {entry.path}` | {_built(entry)} |\n" for entry, seed in answered()]
    plain = [f"| `{_cell(pattern)}` | {why} |\n" for pattern, why in AS_THEY_STAND.items()]
    return _SEEDS + "".join(rows) + _PLAIN + "".join(plain)


def answered() -> Iterator[tuple[Entry, str]]:
    for entry in COMMANDS:
        for seed in entry.answers:
            yield entry, seed


def _built(entry: Entry) -> str:
    return "yes" if entry.built else "not yet"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"commands": commands_page, "seeds": seeds_page}

if __name__ == "__main__":
    assert set(GROUPS) <= {entry.path.rpartition(" ")[0] for entry in COMMANDS}
    sys.stdout.write(PAGES[sys.argv[1]]())
