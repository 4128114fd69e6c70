"""The table of commands: complete, loadable, documented, and it answers every command of the source documents."""

from pathlib import Path

import click
import pytest

from harness.cli.frame import LazyGroup
from harness.cli.reference import commands_page, seeds_page
from harness.cli.seeds import AS_THEY_STAND
from harness.cli.table import COMMANDS, GROUPS
from tests.kit.command import ROOT

CONTRACT = """
run worker demo init status watch top web pause resume stop doctor health why report evidence version auth.status auth.login
queue: show check add remove retry prioritise park unpark take submit return export import stats
session: latest list metrics tools errors timeline watch transcript explain search compare trends reconcile report export stop mark
task: list show start complete sync
decision: list show answer
sweep: start status resume known-issues ranges
service: list start stop restart status logs
issue: list show ack resolve mute
fatal: list ack
effectiveness
audit: verify routes failures
repo: add list show scan status test build pull review import
worktree: list repair prune verify-web
wip: list show restore
gate: run start guard spec
waiver: list add expire
pr: triage
merge: status apply abort rollback
agent: list test pin
prompt: render list compare
config: show check schema
policy: test
backup: create list verify restore rollback
state: reset
store: migrate
cleanup
telemetry: migrate
schedule: list run
notify: test log
rehearse metrics
service-unit: install print
"""
UNBUILT = [entry.path for entry in COMMANDS if not entry.built]
BUILT = [entry for entry in COMMANDS if entry.built]


def _contract():
    for line in CONTRACT.split("\n"):
        group, _, names = line.rpartition(":")
        yield from (f"{group} {name}".strip().replace(".", " ") for name in names.split())


def test_every_command_of_the_contract_is_in_the_table_once():
    paths = [entry.path for entry in COMMANDS]
    assert sorted(paths) == sorted(_contract())
    assert {path.split()[0] for path in paths if " " in path} == set(GROUPS)


@pytest.mark.parametrize("path", UNBUILT)
def test_what_is_not_built_exits_2_and_says_so(loop, path):
    said = loop(*path.split(), "some", "--argument", "--json")
    assert (said.code, said.error["kind"]) == (2, "not_built")
    assert path in said.error["message"]


@pytest.mark.parametrize("entry", BUILT, ids=lambda entry: entry.path)
def test_what_is_built_loads_and_shows_examples_of_itself(entry):
    group = LazyGroup()
    context = click.Context(group)
    for name in entry.path.split():
        command = group.get_command(context, name)
        group = command
    assert command.help
    assert command.examples
    assert any(f"./loop {entry.path}" in example or entry.path == "run" for example in command.examples)
    assert entry.help.endswith(".")


@pytest.mark.parametrize(("file", "page", "argument"), [
    ("commands.md", commands_page, "commands"),
    ("seed-commands.md", seeds_page, "seeds"),
])  # fmt: skip
def test_the_reference_pages_are_current(file, page, argument):
    current = (ROOT / "docs/reference" / file).read_text(encoding="utf-8")
    assert current == page(), f"python -m harness.cli.reference {argument} > docs/reference/{file}"


def _seed_commands():
    lines = Path(__file__).parents[1] / "story" / "seed_commands.txt"
    return [" ".join(line.split()) for line in lines.read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("seed", _seed_commands())
def test_every_command_of_the_source_documents_is_answered(seed):
    answers = [" ".join(answer.replace("YYYYMMDD", "").split()) for entry in COMMANDS for answer in entry.answers]
    assert any(answer in seed.replace("YYYYMMDD", "") for answer in answers) or any(
        seed.startswith(beginning) for beginning in AS_THEY_STAND
    )


def test_the_guides_scripts_are_these_commands():
    for name, command in {
        "parse-session-events": "session",
        "manage-queue": "queue",
        "report-status": "status",
        "verify-installation": "doctor",
        "health-check": "health",
        "analyze-weekly-metrics": "report weekly",
    }.items():
        for file in (ROOT / "scripts" / name, ROOT / "scripts" / f"{name}.sh"):
            assert f'../loop" {command} "$@"' in file.read_text()
