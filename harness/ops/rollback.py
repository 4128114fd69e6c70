"""Program and state marked together, and brought back together (H25, H52)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness import __version__
from harness.git import program as checkout
from harness.model.errors import GitError, Refused, Usage
from harness.model.home import Home
from harness.ops import backups
from harness.ops.answers import Change
from harness.ops.control import stop
from harness.ops.forensics import collect
from harness.ops.restore import Wish, bring_back, unused
from harness.ops.workers import at_work
from harness.store import backup_shelf
from harness.store.backup import Backup, check_tag
from harness.store.restore import Replaced

STOP_SECONDS = 150.0


@dataclass(frozen=True, slots=True)
class Program:
    """Where this program was launched from (None: it was installed), and the caller's environment."""

    root: Path | None
    environ: Mapping[str, str]

    def standing(self) -> checkout.Standing | None:
        return None if self.root is None else asyncio.run(checkout.standing(self.root))


@dataclass(frozen=True, slots=True)
class Course:
    """`stop`: end a loop that runs first; `run`: the caller runs the loop of the other version afterwards."""

    stop: bool = False
    run: bool = False


def mark(home: Home, program: Program, now: datetime, *, tag: str | None, push: bool) -> Change:
    """Make a backup; with a tag the program's commit gets it, too, where the program is a checkout.

    Raises Usage, Refused (the tag is taken), DiskFull, StoreError, PushFailed (the backup is made all the same).
    """
    if push and tag is None:
        raise Usage("there is nothing to push without a tag", hint="./loop backup create --tag TAG --push")
    here = program.standing()
    if tag is not None and here is not None and program.root is not None:
        check_tag(home.backups, tag)
        asyncio.run(checkout.mark(program.root, tag, here.commit))
    made = backups.keep(home, "operator", now, tag=tag, commit=here.commit if here is not None else None)
    told = _told_of_program(program, here, tag)
    if push and tag is not None and here is not None and program.root is not None:
        told += f"; pushed to {asyncio.run(checkout.push_tag(program.root, tag, program.environ))}"
    return backups.created(made, told)


def _told_of_program(program: Program, here: checkout.Standing | None, tag: str | None) -> str:
    if here is None:
        return f"program {__version__}, installed"
    marked = f", git tag {tag}" if tag else ""
    dirty = f", with {len(here.changed)} changed files that no commit has" if here.changed else ""
    return f"program {__version__} at {here.commit[:12]} of {program.root}{marked}{dirty}"


def rollback(home: Home, program: Program, wish: Wish, course: Course, *, confirmed: bool) -> Change:
    """Forensics first, then state and configuration, then the program; what cannot be done whole is taken back.

    Raises Usage without a confirmation, NotFound, Refused, DiskFull, GitError; then everything is as it was, but for a
    loop that was stopped and the forensics.
    """
    backup = backup_shelf.find(home.backups, wish.given)
    if not confirmed:
        flags = f"{' --stop' if course.stop else ''}{' --run' if course.run else ''} --yes"
        was = f"program {backup.program} and the state of {backup.made_at.isoformat()}"
        raise Usage(f"this goes back to {was}", hint=f"./loop backup rollback {wish.given}{flags}")
    switch_to = _switch_to(program, backup)
    if course.run and program.root is None:
        raise Usage("--run needs the launcher of a checkout", hint="./loop backup rollback NAME --yes, then ./loop run")
    if found := backup_shelf.faults(backup):
        raise Refused(f"{backup.id} is not whole; nothing was changed", cause="\n".join(found[:6]))
    stopped = [stop(home, now=False, wait_seconds=STOP_SECONDS).detail] if course.stop and at_work(home) else []
    with unused(home):
        bundle = collect(home, wish.now, f"rolled back to {backup.id} by {wish.actor}")
        here = program.standing()
        replaced = bring_back(home, backup, replace(wish, commit=here.commit if here is not None else None))
        if switch_to is not None:
            _switch(home, program, switch_to, replaced, wish)
    kept = f"{bundle.files} files" + (f", {bundle.left_out} left where they are" if bundle.left_out else "")
    told = [*stopped, f"forensics: {bundle.folder} ({kept})", f"state and configuration: {backup.id}"]
    told += [f"program: {switch_to[:12]} of {program.root}" if switch_to else f"program: {__version__}, as it was"]
    if replaced.backup is not None:
        told += [f"undo: ./loop backup rollback {replaced.backup.id} --yes"]
    return Change(backup.id, applied=True, detail="\n".join(told if course.run else [*told, "go on: ./loop run"]))


def _switch_to(program: Program, backup: Backup) -> str | None:
    """The commit to check out, None if the program is the right one. Raises Refused, NotFound: nothing was changed."""
    here = program.standing()
    if here is None or backup.commit is None or program.root is None:
        if backup.program != __version__:
            raise Refused(
                f"{backup.id} was made by version {backup.program}, this is {__version__}, and no checkout to switch",
                hint=f"install version {backup.program}, then ./loop backup restore {backup.id} --files --yes",
            )
        return None
    if here.commit == backup.commit:
        return None
    asyncio.run(checkout.check_switch(program.root, backup.commit))
    return backup.commit


def _switch(home: Home, program: Program, commit: str, replaced: Replaced, wish: Wish) -> None:
    assert program.root is not None
    try:
        asyncio.run(checkout.switch(program.root, commit))
    except GitError as exc:
        if replaced.backup is not None:
            bring_back(home, replaced.backup, replace(wish, given=replaced.backup.id))
        hint = f"git -C {program.root} status; the state is as it was"
        raise Refused(f"the program could not be switched: {exc.message}", hint=hint, cause=exc.cause) from exc
