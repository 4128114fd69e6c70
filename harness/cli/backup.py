"""`./loop backup …`: state and configuration, kept and brought back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import click

from harness.cli import output
from harness.cli.frame import command
from harness.cli.invocation import Invocation
from harness.cli.output import Screen
from harness.ops import backups
from harness.ops.answers import Change, Document, Rows


@command(examples=("./loop backup create", "./loop backup create --tag before-rollout"))
@click.option("--tag", metavar="TAG", help="A name for state and program together; such a backup is never dropped.")
@click.option("--push", is_flag=True, help="Push the git tag of the program, too.")
def create(call: Invocation, tag: str | None, push: bool) -> Change:
    """Keep database, config.yaml and prompts, with the loop running or not. With TAG the program's commit is marked."""
    from harness.ops import rollback  # noqa: PLC0415 - git costs the others nothing

    return rollback.mark(call.home, rollback.Program(call.launcher, call.environ), call.now(), tag=tag, push=push)


@command(examples=("./loop backup list", "./loop backup list --jq '.rows[0].id'"))
def list_(call: Invocation) -> Rows:
    """Backups, newest first; exit 1 if one cannot be read."""
    return backups.list_(call.home, call.now())


def _verified(answer: Document, _where: Screen) -> Iterable[str]:
    facts = answer.facts
    yield from facts["faults"]
    word = "whole" if facts["whole"] else "not whole"
    yield f"{facts['id']} is {word}: {facts['items']} items, made {facts['made_at'].isoformat()}"


@command(examples=("./loop backup verify", "./loop backup verify before-rollout"), text=_verified)
@click.argument("name", default="latest")
def verify(call: Invocation, name: str) -> Document:
    """Read all of a backup: hashes, SQLite's integrity check, the audit of its journal. Exit 1 if it is not whole.

    NAME is an id or its beginning, a tag, the path of a backup's folder, or `latest`, which is the default.
    """
    return backups.verify(call.home, name)


@command(
    examples=("./loop backup restore latest --yes", "./loop backup restore /mnt/kept/before-rollout --files --yes")
)
@click.argument("name")
@click.option("--files", is_flag=True, help="Bring config.yaml and prompts/ back, too.")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what it would do (exit 2).")
def restore(call: Invocation, name: str, files: bool, yes: bool) -> Change:
    """Bring a backup back. It is verified first, refused while anything works on the state, and can be taken back."""
    from harness.ops.restore import Wish  # noqa: PLC0415
    from harness.ops.restore import restore as bring_back  # noqa: PLC0415

    return bring_back(call.home, Wish(name, call.actor, call.now(), files), confirmed=yes)


@command(
    examples=(
        "./loop backup rollback before-rollout --yes",
        "./loop backup rollback before-rollout --stop --run --yes",
    )
)
@click.argument("name")
@click.option("--stop", is_flag=True, help="End the loop that runs first.")
@click.option("--run", is_flag=True, help="Run the loop of that version afterwards, in the foreground.")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what it would do (exit 2).")
def rollback(call: Invocation, name: str, stop: bool, run: bool, yes: bool) -> Change:
    """Program, state and configuration as a backup has them; what was there is kept as forensics first."""
    from harness.ops import rollback as ops  # noqa: PLC0415
    from harness.ops.restore import Wish  # noqa: PLC0415

    program = ops.Program(call.launcher, call.environ)
    wish = Wish(name, call.actor, call.now(), files=True)
    answer = ops.rollback(call.home, program, wish, ops.Course(stop=stop, run=run), confirmed=yes)
    if run and call.launcher is not None:
        output.show(call, answer)
        sys.stdout.flush()
        _become(call.launcher / "loop", ["loop", "-C", str(call.home.root), "run"], call.environ)
    return answer


def _become(program: Path, words: list[str], environ: Mapping[str, str]) -> NoReturn:
    """The files of this program are another version's by now: nothing more of it is loaded."""
    os.execve(program, words, dict(environ))  # noqa: S606 - our own launcher
