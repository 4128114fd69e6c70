"""The evidence of finished work, shown and held against its hashes, its logs and the branch."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.engine.bundle import DOCUMENT, FILE, SCHEMA, WRITTEN, record_of, write
from harness.engine.entries import entries
from harness.engine.rollback import still_there
from harness.git.merge import GitMerger
from harness.model.errors import GitError, NotFound
from harness.model.home import Home
from harness.model.journal import Entry, Integration
from harness.model.work import WorkState
from harness.ops.answers import Document
from harness.ops.books import full_id, reading, writing
from harness.ops.repositories import registered
from harness.ports import RepositoryRef
from harness.store.reader import StoreReader

KEPT = ("verified", "claimed", "sealed")


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was held against its record; `found` says what is wrong, or what it was held against."""

    what: str
    ok: bool
    found: str


def evidence(home: Home, environ: Mapping[str, str], given: str, now: datetime, *, anew: bool = False) -> Document:
    """The bundle of an item and what a check of it finds; exit code 1 if something does not hold.

    `anew` writes it first from the record as it is now, for an item that is done. Raises NotFound.
    """
    with reading(home) as store:
        item = full_id(store, "item", given)
    if anew:
        _write(home, item, now)
    with reading(home) as store:
        anchor, integrations = _anchor(store, item), store.integrations(item=item)
    folder = home.evidence / item
    try:
        raw = (folder / FILE).read_bytes()
    except FileNotFoundError as exc:
        raise NotFound(f"there is no evidence of {item}", cause=_why(home, item), hint=_hint(item)) from exc
    facts = _parsed(raw)
    checks = [_whole(raw, anchor), *_checks(home, environ, folder, facts), *_undone(facts, integrations)]
    holds = all(check.ok for check in checks)
    shown = {**facts, "folder": str(folder), "holds": holds, "checks": checks}
    return Document(SCHEMA, shown, exit_code=0 if holds else 1)


def _write(home: Home, item: str, now: datetime) -> None:
    with writing(home) as store:
        record = record_of(store, item)
        if record.item.state is not WorkState.DONE:
            raise NotFound(f"{item} is {record.item.state}, not done", hint=f"./loop why {item}")
        sha256 = write(home, record, now)
        store.note(Entry(now, WRITTEN, "operator", item, data={"sha256": sha256}))


def _why(home: Home, item: str) -> str:
    with reading(home) as store:
        found = store.item(item)
    state = found.state if found else "gone"
    if state != WorkState.DONE:
        return f"it is {state}; evidence is written when an item ends verified or claimed"
    return "its loop ended before it could be written, or it could not be: state/iteration.log says so"


def _hint(item: str) -> str:
    return f"./loop evidence {item} --write, once it is done"


def _anchor(store: StoreReader, item: str) -> str | None:
    """The hash that the journal has of the newest bundle."""
    written = [str(entry.data.get("sha256")) for entry in entries(store, item=item) if entry.kind == WRITTEN]
    return written[-1] if written else None


def _parsed(raw: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object any more; the hash says that it was changed."""
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _whole(raw: bytes, anchor: str | None) -> Checked:
    if anchor is None:
        return Checked(FILE, False, "the journal knows of no evidence that was written")
    if hashlib.sha256(raw).hexdigest() != anchor:
        return Checked(FILE, False, "it was changed after it was written: its hash is not the one in the journal")
    return Checked(FILE, True, "its hash is the one in the journal")


def _checks(home: Home, environ: Mapping[str, str], folder: Path, facts: Mapping[str, Any]) -> Iterator[Checked]:
    for gate in facts.get("gates") or ():
        for run in gate["runs"]:
            if run["sha256"]:
                yield _file(folder / run["log"], run["log"], run["sha256"])
    if facts.get("document"):
        yield _file(folder / DOCUMENT, DOCUMENT, facts["document"]["sha256"])
    if facts.get("commit"):
        repos = {repo.name: repo for repo in registered(home, environ)}
        repo = repos.get(facts.get("repo") or "") or next(iter(repos.values()), None)
        yield asyncio.run(_commit(home, repo, facts))


def _undone(facts: Mapping[str, Any], integrations: Sequence[Integration]) -> Iterator[Checked]:
    """A commit stays on its branch when its work is taken back: another one undoes it."""
    if facts.get("integrated") and integrations and still_there(integrations) is None:
        back = next(row.merged or "" for row in reversed(integrations) if row.state == "applied")
        yield Checked("integration", False, f"its work was taken back, by {back[:12]}")


def _file(path: Path, name: str, sha256: str) -> Checked:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return Checked(name, False, "it is missing")
    if found != sha256:
        return Checked(name, False, f"it was changed: sha256 {found[:12]}, recorded {sha256[:12]}")
    return Checked(name, True, f"sha256 {sha256[:12]}")


async def _commit(home: Home, repo: RepositoryRef | None, facts: Mapping[str, Any]) -> Checked:
    """On the branch that it was brought to, or kept under one of our refs."""
    commit = str(facts["commit"])
    what = f"commit {commit[:12]}"
    if repo is None:
        return Checked(what, False, f"repository {facts.get('repo')} is not registered any more")
    merger = GitMerger(home.benches, under=home.state)
    try:
        if facts.get("integrated"):
            branch = str(facts["branch"])
            there = await merger.contains(repo, branch, commit)
            return Checked(what, there, f"{'on' if there else 'not on'} {branch} of {repo.name}")
        for name in KEPT:
            if await merger.kept(repo, str(facts["item"]), name) == commit:
                return Checked(what, True, f"kept under refs/harness/{facts['item']}/{name} of {repo.name}")
    except (GitError, NotFound) as exc:
        return Checked(what, False, exc.message)
    return Checked(what, False, f"no ref of {facts['item']} in {repo.name} holds it")
