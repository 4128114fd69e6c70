"""Backups as an operator makes and looks at them: state and configuration of one moment (H25)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.model.home import Home
from harness.ops.answers import Change, Document, Rows
from harness.store import backup_shelf
from harness.store.backup import Backup, Order, create
from harness.store.backup_shelf import LATEST

SCHEMA, VERIFY_SCHEMA = "loop.backups/1", "loop.backup-verify/1"
COLUMNS = ("id", "made_at", "reason", "tag", "program", "items", "mib", "problem")


def files_of(home: Home) -> Mapping[str, Path]:
    """What belongs to the database besides: configuration and templates, by their path in the home."""
    found = [home.config, *(sorted(home.prompts.rglob("*")) if home.prompts.is_dir() else ())]
    return {str(path.relative_to(home.root)): path for path in found if path.is_file() and not path.is_symlink()}


def keep(
    home: Home,
    reason: str,
    now: datetime,
    *,
    tag: str | None = None,
    commit: str | None = None,
    step: Callable[[str], None] = lambda _step: None,
) -> Backup:
    """Make one; see `store.backup.Order`. Raises NotFound, Usage, Refused, DiskFull, StoreError."""
    return create(home.database, home.backups, Order(reason, now, tag, commit, files_of(home), step))


def list_(home: Home, now: datetime) -> Rows:
    """Newest first; folders that are no backup last, with what is wrong (exit 1). `backup verify` reads all of one."""
    found, broken = backup_shelf.listed(home.backups)
    rows = [*map(_row, found), *({"id": each.folder.name, "problem": each.problem} for each in broken)]
    return Rows(SCHEMA, rows, now, COLUMNS, exit_code=int(bool(broken)), empty="no backup yet; ./loop backup create")


def _row(backup: Backup) -> Mapping[str, Any]:
    return {
        "id": backup.id,
        "made_at": backup.made_at,
        "reason": backup.reason,
        "tag": backup.tag,
        "program": backup.program,
        "commit": backup.commit,
        "schema_version": backup.schema,
        "items": backup.items,
        "entries": backup.journal,
        "bytes": backup.bytes,
        "mib": round(backup.bytes / (1 << 20), 1),
        "files": sorted(backup.files),
        "problem": "",
    }


def verify(home: Home, given: str = LATEST) -> Document:
    """Read all of a backup; exit 1 if it is not what was written or not sound. Raises NotFound, StoreError."""
    backup = backup_shelf.find(home.backups, given)
    found = backup_shelf.faults(backup)
    facts = {"id": backup.id, "whole": not found, "made_at": backup.made_at, "items": backup.items, "faults": found}
    return Document(VERIFY_SCHEMA, facts, exit_code=int(bool(found)))


def created(backup: Backup, more: str = "") -> Change:
    """What is said of a new one."""
    what = f"{backup.id}: {backup.items} items, {len(backup.files)} files, {backup.bytes / (1 << 20):.1f} MiB"
    back = f"back to it: ./loop backup restore {backup.tag or backup.id} --yes"
    return Change(backup.id, applied=True, detail="\n".join(part for part in (what, more, back) if part))
