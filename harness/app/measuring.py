"""`metrics.json` and the told part of the context file, from the session's log (contract 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.metrics import last_texts, metrics
from harness.analysis.transcript import ledger
from harness.analysis.usage import Ledger
from harness.model.home import Home
from harness.model.session import SessionRow

LEDGER = "ledger"


@dataclass(slots=True)
class LogMeter:
    """Implements engine.plan.Meter. Blocking: reads the log once."""

    home: Home

    def baseline(self, row: SessionRow) -> Mapping[str, Any]:
        """What the conversation had cost before this session: its ledger at spawn."""
        return {LEDGER: ledger(self._transcript(row))}

    def measure(self, row: SessionRow, baseline: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
        before: Ledger | None = baseline.get(LEDGER)
        log = self.home.session_log(row.id)
        read = metrics(log, transcript=self._transcript(row), baseline=before) if log.exists() else {}
        return {**read, **self._known(row), **facts}

    def has_conversation(self, row: SessionRow) -> bool:
        """The CLI resumes a transcript that holds a prompt, and refuses one that it has not got so far with."""
        transcript = self._transcript(row)
        return transcript is not None and _has(transcript, b'"type":"user"')

    def context(self, row: SessionRow) -> Mapping[str, Any]:
        log = self.home.session_log(row.id)
        return {"last_texts": last_texts(log) if log.exists() else []}

    def _transcript(self, row: SessionRow) -> Path | None:
        path = Path(row.transcript) if row.transcript else None
        return path if path is not None and path.exists() else None

    def _known(self, row: SessionRow) -> Mapping[str, Any]:
        """What the loop knows better than the log."""
        ended, began = row.ended_at, row.started_at
        return {
            "schema": "loop.session-metrics/1",
            "session_id": row.id,
            "claude_session_id": row.claude_session_id,
            "parent": row.parent,
            "work_item": row.item,
            "attempt": row.attempt,
            "outcome": None,
            "started_at": began.isoformat() if began else None,
            "ended_at": ended.isoformat() if ended else None,
            "wall_seconds": round(max(0.0, (ended - began).total_seconds()), 3) if ended and began else None,
            "prompt": dict(row.prompt) or None,
            "commits": [],
            "gates": [],
        }


def _has(path: Path, mark: bytes) -> bool:
    """Inside a JSON string quotes are escaped, so the mark occurs as a field only."""
    with path.open("rb") as file:
        return any(mark in line for line in file)
