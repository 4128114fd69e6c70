"""Bringing a backup back: refused while anything works on the state, and what it replaces is kept (H25)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness import fs
from harness.model.errors import Refused, StoreError, Usage
from harness.model.home import Home
from harness.model.itemform import mirror_row
from harness.model.journal import Entry
from harness.model.outcome import Disposition, Interrupted
from harness.model.session import FINAL, SessionRow, SessionStatus
from harness.model.work import UNFINISHED, WorkItem, WorkState
from harness.ops.answers import Change
from harness.ops.backups import files_of
from harness.ops.books import writing
from harness.ports import Settlement
from harness.proc.lock import FileLock, holder, is_free
from harness.store import backup_shelf
from harness.store.backup import DATABASE, Backup, Order, adopt
from harness.store.mirror import QueueMirror
from harness.store.reader import StoreReader
from harness.store.reports import latest_run
from harness.store.restore import Replaced, put_back
from harness.store.schema import VERSION
from harness.store.sqlite import SqliteStore

ADDED = "added-since.json"
_MOST = 100_000
_TOLD = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """Which backup, by whom, when; `files`: configuration and templates too. `commit` is the program's own, as far as
    it is known: the backup of what is replaced has it.
    """

    given: str
    actor: str
    now: datetime
    files: bool = False
    commit: str | None = None


def restore(home: Home, wish: Wish, *, confirmed: bool) -> Change:
    """Make a backup the state again. Raises Usage without a confirmation, NotFound, Refused (a loop or command works
    here, the backup is not whole), StoreError (a newer schema), DiskFull; then everything is as it was.
    """
    backup = backup_shelf.find(home.backups, wish.given)
    if not confirmed:
        command = f"./loop backup restore {wish.given}{' --files' if wish.files else ''} --yes"
        raise Usage(f"this makes the state of {backup.made_at.isoformat()} the present one", hint=command)
    check(backup)
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with unused(home):
        replaced = bring_back(home, backup, wish)
    told = [f"{home.state} is as it was at {backup.made_at.isoformat()} ({backup.id}: {backup.items} items)"]
    told += [*_kept(replaced), *_go_on(home, backup, replaced, wish)]
    return Change(backup.id, applied=True, detail="\n".join(told))


def check(backup: Backup) -> None:
    """Raises Refused for a backup that is not whole, StoreError for one of a newer program."""
    if backup.schema > VERSION:
        raise StoreError(
            f"{backup.id} has schema {backup.schema}, this program knows {VERSION}: version {backup.program} made it",
            hint=f"./loop backup rollback {backup.tag or backup.id} brings the program along",
        )
    if found := backup_shelf.faults(backup):
        raise Refused(
            f"{backup.id} is not whole; nothing was changed", hint="./loop backup list", cause="\n".join(found[:6])
        )


@contextmanager
def unused(home: Home) -> Iterator[None]:
    """Nobody else works on the state meanwhile. Raises Refused, naming who does."""
    lock = FileLock(home.lock)
    if not lock.acquire(f"pid {os.getpid()} (backup)"):
        raise Refused(f"a loop runs on {home.state} ({holder(home.lock) or 'pid unknown'})", hint="./loop stop first")
    try:
        for owner in sorted(home.owners.glob("*.lock")):
            if not is_free(owner):
                raise Refused(f"{owner.stem} ({holder(owner)}) works on {home.state}", hint="end it, or wait for it")
        yield
    finally:
        lock.release()


def bring_back(home: Home, backup: Backup, wish: Wish) -> Replaced:
    """Database, and files if wished, under `unused`. Nothing is opened for writing: the schema stays what it is."""
    replaced = put_back(backup, home.state, wish.now)
    aside = replaced.folder or home.backups
    if not replaced.mirrors and home.queue_file.exists():
        # Without the base of the lost database it would be taken for the wished queue.
        home.queue_file.replace(aside / home.queue_file.name)
    return _bring_files(home, backup, replaced, wish) if wish.files else replaced


def _bring_files(home: Home, backup: Backup, replaced: Replaced, wish: Wish) -> Replaced:
    """What is there now goes into the folder of what was replaced, as part of that backup."""
    present = files_of(home)
    if replaced.folder is not None:
        for name, path in present.items():
            fs.replace(replaced.folder / name, path.read_bytes(), durable=True)
        if replaced.backup is not None:
            order = Order("replaced", wish.now, commit=wish.commit, files=present)
            replaced = replace(replaced, backup=adopt(replaced.folder, order))
    for name in backup.files:
        if name != DATABASE:
            fs.replace((home.root / name).resolve(), (backup.folder / name).read_bytes(), mode=0o644, durable=True)
    for name in present.keys() - backup.files.keys():
        (home.root / name).unlink()
    return replaced


def _kept(replaced: Replaced) -> list[str]:
    if replaced.backup is not None:
        return [f"undo: ./loop backup restore {replaced.backup.id} --files --yes"]
    if replaced.folder is not None:
        return [f"what was replaced is damaged and kept as it was in {replaced.folder}"]
    return []


# --- what the backup does not know ------------------------------------------------------------------------------------


def _go_on(home: Home, backup: Backup, replaced: Replaced, wish: Wish) -> list[str]:
    """Write down what happened; keep what came to a branch since from being done again; save what was added since."""
    told: list[str] = []
    with writing(home) as store:
        data = {"backup": backup.id, "made_at": backup.made_at, "program": backup.program, "files": wish.files}
        store.note(Entry(wish.now, "state.restored", wish.actor, data=data))
        run = latest_run(store)
        if run is not None and run.ended_at is None:  # it ran when the backup was made; it was not killed
            store.end_run(run.run, reason=f"restored from {backup.id}", iterations=0, now=wish.now)
        if replaced.backup is not None and replaced.backup.schema == VERSION:
            with closing(StoreReader(replaced.backup.database, read_only=True)) as before:
                told += _park_integrated(store, before, backup, wish)
                told += _save_added(store, before, replaced.backup.folder)
        QueueMirror(home.queue_file, store).export(wish.now)
    return told


def _park_integrated(store: SqliteStore, before: StoreReader, backup: Backup, wish: Wish) -> list[str]:
    known = {row.merged for row in store.integrations(states=("applied",))}
    parked: list[str] = []
    for row in before.integrations(states=("applied",)):
        item = store.item(row.item)
        if row.kind != "work" or row.merged in known or item is None or not _may_be_parked(item):
            continue
        reason = f"done as {(row.merged or row.seal)[:12]} on {row.branch} after the backup {backup.id} was made"
        if item.state is WorkState.LEASED:
            _end_lease(store, item, reason, wish)
        else:
            store.move(item.id, WorkState.PARKED, reason, actor=wish.actor, now=wish.now)
        parked.append(item.id)
    if not parked:
        return []
    return [f"{len(parked)} parked, for their work is on its branch already: {_first(parked)}; ./loop why ITEM"]


def _may_be_parked(item: WorkItem) -> bool:
    """What a person has is theirs."""
    return item.state in UNFINISHED and not item.by_hand


def _end_lease(store: SqliteStore, item: WorkItem, reason: str, wish: Wish) -> None:
    """Of a loop that was at work when the backup was made; nobody holds it now, or there would be no restore."""
    (orphan,) = (each for each in store.orphans(store.owners()) if each.lease.item.id == item.id)

    def ended(row: SessionRow) -> SessionRow:
        if row.status in FINAL:
            return row
        return replace(
            row, status=SessionStatus.KILLED, pid=None, ended_at=wish.now, ended_by="operator", ending="lost"
        )

    session = None if orphan.session is None else ended(orphan.session)
    reviews = tuple(ended(row) for row in orphan.reviews)
    parked = Disposition(WorkState.PARKED, reason)
    store.settle(orphan.lease, Settlement(Interrupted(reason, wish.actor), parked, session, reviews=reviews), wish.now)


def _save_added(store: SqliteStore, before: StoreReader, folder: Path) -> list[str]:
    added = [item for item in before.items(states=sorted(UNFINISHED), limit=_MOST) if store.item(item.id) is None]
    if not added:
        return []
    file = folder / ADDED
    rows = [mirror_row(item) for item in added]
    fs.replace(file, json.dumps(rows, indent=2, ensure_ascii=False, default=str) + "\n")
    ids = _first([item.id for item in added])
    return [f"{len(added)} were added since and are not there now: {ids}", f"have them: ./loop queue import {file}"]


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_TOLD]) + (" …" if len(ids) > _TOLD else "")
