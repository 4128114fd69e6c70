"""The documented files of sessions (contract 2): projections for people and scripts, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import fs
from harness.model.session import FINAL, SessionRow
from harness.store.mirror import Absorbed, QueueMirror
from harness.store.reached import reached_isolation

__all__ = ["Absorbed", "QueueMirror", "SessionFiles"]

SESSION_SCHEMA = "loop.session/1"
METRICS_SCHEMA = "loop.session-metrics/1"
CONTEXT_SCHEMA = "loop.session-context/1"
_SHARED = 0o644


class SessionFiles:
    """Files of sessions below a home. What lies in `state/` is private, what lies in `docs/` is for everybody.

    `check` raises where `state/` is not the one of the open database any more: nothing is written into it then, and a
    folder that was moved away is not made anew.
    """

    def __init__(self, home: Path, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        self._told = ""
        self.current_path = home / "state" / "current-session.json"
        self._sessions = home / "state" / "sessions"
        self._docs = home / "docs" / "sessions"
        self._dossiers = home / "state" / "dossiers"

    def current(self, row: SessionRow) -> None:
        """`state/current-session.json`: the newest session, with exactly the keys of contract 2.

        The session that began last has the file, whichever process it is of: a row that is told again is written only
        while its own is there.
        """
        self._check()
        if row.id == self._told and self._current_id() not in {row.id, None}:
            return
        self._told = row.id
        ended = row.status in FINAL
        document = {
            "session_id": row.id,
            "claude_session_id": row.claude_session_id,
            "pid": None if ended else row.pid,
            "status": row.status.value,
            "heartbeat": row.heartbeat,
            "updated_at": row.updated_at,
            "work_item": row.item,
            "iteration": row.iteration,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
        }
        fs.replace(self.current_path, _pretty(document))

    def _current_id(self) -> str | None:
        """Whose the file is; None where it does not say."""
        try:
            document = json.loads(self.current_path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return document.get("session_id") if isinstance(document, dict) else None

    def touch_current(self) -> None:
        """The loop is alive, though nothing is new; nothing happens before the first session."""
        try:
            os.utime(self.current_path)
        except FileNotFoundError:
            return
        except OSError as exc:
            raise fs.translate(exc, self.current_path) from exc

    def state(self, row: SessionRow, **facts: Any) -> None:
        """`session.json` and its copy in `docs/sessions`: the row, and facts it does not have; `isolation` is the level
        that was reached, null before the agent is started.
        """
        self._check()
        document: dict[str, Any] = {"schema": SESSION_SCHEMA, "session_id": row.id, "work_item": row.item}
        document |= {each.name: getattr(row, each.name) for each in fields(row) if each.name not in {"id", "item"}}
        if row.status in FINAL:
            document["pid"] = None
        document["isolation"] = reached_isolation(self._sessions / row.id)
        text = _pretty(document | facts)
        fs.replace(self._sessions / row.id / "session.json", text)
        fs.replace(self._docs / f"{row.id}.json", text, mode=_SHARED)

    def metrics(self, session: str, document: Mapping[str, Any]) -> Path:
        """`metrics.json` (contract 6)."""
        self._check()
        path = self._sessions / session / "metrics.json"
        fs.replace(path, _pretty({"schema": METRICS_SCHEMA, **document}))
        return path

    def context(self, session: str, document: Mapping[str, Any]) -> Path:
        """`-context.json`: what a next session needs to go on, as one line, on disk before this returns."""
        path = self._docs / f"{session}-context.json"
        line = json.dumps({"schema": CONTEXT_SCHEMA, **document}, ensure_ascii=False, default=_plain)
        fs.replace(path, f"{line}\n", mode=_SHARED, durable=True)
        return path

    def dossier(self, item: str, document: Mapping[str, Any], text: str) -> None:
        """`state/dossiers/ITEM.json` and `.md`: what is known of a parked item."""
        self._check()
        fs.replace(self._dossiers / f"{item}.json", _pretty(document))
        fs.replace(self._dossiers / f"{item}.md", text)

    def read_context(self, session: str) -> Mapping[str, Any] | None:
        """What `context` wrote, None if there is nothing that can be read."""
        try:
            document = json.loads((self._docs / f"{session}-context.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return document if isinstance(document, dict) else None


def _pretty(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
