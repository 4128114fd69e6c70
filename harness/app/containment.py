"""agent-init for the adapters: which files a session's start and end are told in (contract 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.agents.claude.options import DEBUG_FILE, HANDED_OVER
from harness.app.fence import Fence
from harness.model.brief import Brief
from harness.proc.contain import (
    SPEC_VARIABLE,
    AgentInitSpec,
    InitLimits,
    Record,
    end,
    end_leftovers,
    launcher,
    read_record,
    write_spec,
)
from harness.proc.identity import alive


@dataclass(slots=True)
class AgentInitContainment:
    """Implements ports.Containment. `folder` gets the launcher."""

    folder: Path
    fence: Fence = field(default_factory=Fence)
    limits: InitLimits = field(default_factory=InitLimits)
    _launcher: Path | None = None

    @property
    def launcher(self) -> Path:
        if self._launcher is None:
            self._launcher = launcher(self.folder)
        return self._launcher

    def arm(self, brief: Brief, program: Path) -> Mapping[str, str]:
        paths = brief.paths
        paths.record.unlink(missing_ok=True)
        spec = AgentInitSpec(
            argv0=str(program),
            log=paths.log,
            err=paths.err,
            lock=paths.lock,
            record=paths.record,
            session=brief.session,
            isolation=self.fence.agent(paths, program, [DEBUG_FILE] if brief.options.get("debug") else ()),
            handed_over=HANDED_OVER,
            limits=self.limits,
        )
        write_spec(paths.folder / "agent-init.spec", spec)
        return {SPEC_VARIABLE: str(paths.folder / "agent-init.spec"), "HARNESS_SESSION": brief.session}

    def pid(self, brief: Brief) -> int | None:
        record = read_record(brief.paths.record)
        return record.pid if record is not None and _lives(record) else None

    async def end(self, brief: Brief, *, term_seconds: float) -> None:
        record = read_record(brief.paths.record)
        if record is not None and _lives(record):
            await end(record.identity, term_seconds=term_seconds, session=brief.session)
            record = read_record(brief.paths.record)
        if record is not None and record.ended_at is None:
            # agent-init itself was killed: it could not prove that its tree is empty
            await asyncio.to_thread(end_leftovers, record, brief.session)

    def exit_code(self, brief: Brief) -> int | None:
        record = read_record(brief.paths.record)
        if record is None:
            return None
        return 128 + record.signal if record.signal else record.exit


def _lives(record: Record) -> bool:
    return record.ended_at is None and alive(record.identity)
