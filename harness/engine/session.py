"""Runs one session: brief in, facts out. Watches it, keeps its row and files fresh, saves its work, ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from harness.engine.checkup import Checkup, CheckupTools
from harness.engine.context import Remains, preserved
from harness.engine.desk import LoopDesk
from harness.engine.plan import Meter
from harness.engine.seams import Listener
from harness.engine.state import LoopState
from harness.engine.watchdog import Finding, Watchdog
from harness.model.brief import Brief, Claim, Question, Refusal
from harness.model.classify import classify
from harness.model.errors import HarnessError
from harness.model.events import (
    AgentExit,
    Denied,
    Limited,
    Retrying,
    SessionEvent,
    Started,
    StopReason,
    Streaming,
    ToolStarted,
)
from harness.model.journal import Entry
from harness.model.session import FINAL, SessionRow, SessionStatus
from harness.model.vitals import Sign
from harness.model.work import Lease
from harness.ports import Agent, AgentSession, Autosave, Books, Clock, Records, Workspace, Workspaces

TICK_SECONDS = 1.0
REFRESH_SECONDS = 10.0
AUTOSAVE_SECONDS = 60.0
NEWS = (Started, Streaming, ToolStarted, Limited)
"""What listeners are told: what an event says of the account and the API, not of the work."""


@dataclass(frozen=True, slots=True)
class SessionResult:
    """How a session ended. `ending` is None when the agent process itself ended well.

    `refused` is the last claim that the Desk refused, if no later one was accepted.
    """

    row: SessionRow
    exit: AgentExit
    ending: str | None
    stopped: Finding | None
    claim: Claim | None
    question: Question | None
    wip: Autosave | None
    refused: Refusal | None = None


@dataclass(slots=True)
class SessionTools:
    """What the runner works with; one for all sessions of a loop."""

    books: Books
    clock: Clock
    state: LoopState
    workspaces: Workspaces
    records: Records
    meter: Meter
    listeners: Sequence[Listener] = ()
    checkups: CheckupTools | None = None


@dataclass(slots=True)
class _Live:
    """The changing facts of a running session."""

    row: SessionRow
    watchdog: Watchdog
    checkup: Checkup | None = None
    stopped: Finding | None = None
    lasted: float = 0.0
    sign_at: datetime | None = None
    refreshed: float = 0.0
    saved: float = 0.0
    wip: Autosave | None = None
    ask: list[Denied] = field(default_factory=list)
    news: list[SessionEvent] = field(default_factory=list)


class SessionRunner:
    """One session from spawn to its final row. `run` returns only when no process of it lives."""

    def __init__(self, tools: SessionTools, lease: Lease, brief: Brief, desk: LoopDesk, workspace: Workspace) -> None:
        self._tools = tools
        self._lease = lease
        self._brief = brief
        self._desk = desk
        self._workspace = workspace
        self._live: _Live | None = None
        self._stopping: list[asyncio.Future[None]] = []

    def abandoned(self, now: datetime) -> SessionRow | None:
        """The final row of a session whose run was cut off by a failure of ours; None if it never began."""
        if self._live is None or self._live.row.status in FINAL:
            return self._live.row if self._live else None
        row = self._live.row
        return replace(
            row, status=SessionStatus.FAILED, ending="fault", ended_by="loop", ended_at=now, updated_at=now, pid=None
        )

    async def run(self, agent: Agent, row: SessionRow) -> SessionResult:
        clock = self._tools.clock
        begun = clock.monotonic()
        baseline = await asyncio.to_thread(self._tools.meter.baseline, row)
        await self._tools.books(lambda s: s.open_session(self._lease, row))
        watchdog = Watchdog(self._brief.limits, begun)
        live = _Live(row, watchdog, self._checkup(), sign_at=row.started_at, refreshed=begun, saved=begun)
        self._live = live
        self._tools.state.newest = row.id
        self._publish(live)
        async with agent.session(self._brief, self._desk) as session:
            await self._watch(session, live)
            await self._pass_on_news(live)
            left = await session.exit()
        live.row = replace(live.row, ended_at=clock.now())
        live.lasted = clock.monotonic() - begun
        live.wip = await self._save(live) or live.wip
        return await self._finish(live, left, baseline)

    async def _watch(self, session: AgentSession, live: _Live) -> None:
        """Read to the end. A session is never without its keeper: if that fails, the session is ended as well."""
        keeper = asyncio.create_task(self._keep(session, live))
        keeper.add_done_callback(lambda done: self._unkept(session, done))
        try:
            async for event in session.events():
                self._take(event, live)
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])
            await asyncio.gather(*self._stopping)
        if not keeper.cancelled():
            keeper.result()

    def _unkept(self, session: AgentSession, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and keeper.exception() is not None:
            self._stopping.append(asyncio.ensure_future(session.stop(StopReason.STOP)))

    def _take(self, event: SessionEvent, live: _Live) -> None:
        at = self._tools.clock.monotonic()
        live.watchdog.on(event, at)
        if isinstance(event, Retrying | Limited) and live.watchdog.tick(at) is not None:
            self._tools.state.bell.ring()  # before the CLI asks again what was refused
        live.sign_at = self._tools.clock.now()
        if isinstance(event, Denied) and event.ask:
            live.ask.append(event)
        if isinstance(event, NEWS):
            live.news.append(event)

    async def _keep(self, session: AgentSession, live: _Live) -> None:
        """Once a second, and at every ring: is it alive, is it wanted, is its work saved, is its row fresh."""
        bell = self._tools.state.bell
        while True:
            ticket = bell.ticket()
            await self._look(session, live)
            if live.stopped is not None:
                return
            await bell.after(ticket, TICK_SECONDS)

    async def _look(self, session: AgentSession, live: _Live) -> None:
        at = self._tools.clock.monotonic()
        wanted = self._tools.state.wanted_stop()
        finding = Finding(wanted, live.watchdog.doing, 0.0) if wanted else live.watchdog.tick(at)
        if finding is None and live.checkup is not None:
            finding = await live.checkup.tick(live.row.pid, live.watchdog, at, lambda k, s: self._note_sign(live, k, s))
        await self._pass_on_questions(live)
        await self._pass_on_news(live)
        if finding is not None:
            live.stopped = finding
            await self._stop(session, live, finding)
            return
        if at - live.saved >= AUTOSAVE_SECONDS:
            live.saved = at
            live.wip = await self._save(live) or live.wip
        await self._refresh(session, live, at)

    def _checkup(self) -> Checkup | None:
        tools = self._tools.checkups
        return Checkup(tools, tools.gauge(self._brief), self._desk.expects == "commit") if tools else None

    async def _note_sign(self, live: _Live, kind: str, sign: Sign) -> None:
        await self._note(live, kind, vital=sign.vital, reason=sign.reason)

    async def _pass_on_questions(self, live: _Live) -> None:
        while live.ask:
            denied = live.ask.pop()
            await self._desk.ask_permission(denied.what, denied.reason)

    async def _pass_on_news(self, live: _Live) -> None:
        news, live.news = live.news, []
        for event in news:
            for listener in self._tools.listeners:
                await listener.heard(live.row, event)

    async def _stop(self, session: AgentSession, live: _Live, finding: Finding) -> None:
        await self._update(live, status=SessionStatus.STOPPING)
        await self._note(
            live,
            "session.stopping",
            reason=finding.reason,
            doing=finding.doing,
            silent_seconds=round(finding.silent_seconds, 1),
        )

        async def save() -> None:
            live.wip = await self._save(live) or live.wip

        await session.stop(finding.reason, before_kill=save)

    async def _save(self, live: _Live) -> Autosave | None:
        """A save that fails is said, never the session's end: the workspace itself is still there."""
        try:
            saved = await self._tools.workspaces.autosave(self._workspace, live.row.id)
        except HarnessError as exc:
            await self._note(live, "session.unsaved", reason=exc.message)
            return None
        if saved is not None:
            await self._note(live, "session.saved", ref=saved.ref, commit=saved.commit, skipped=list(saved.skipped))
        return saved

    async def _refresh(self, session: AgentSession, live: _Live, at: float) -> None:
        """The row when something a person would see has changed, the files every 10 s at least (contract 2)."""
        status = SessionStatus.WAITING_API if live.watchdog.waiting_for_api else SessionStatus.RUNNING
        if live.watchdog.state == "starting":
            status = SessionStatus.SPAWNING
        news = (status, live.watchdog.doing, session.pid) != (live.row.status, live.row.doing, live.row.pid)
        if news or at - live.refreshed >= REFRESH_SECONDS:
            live.refreshed = at
            await self._update(live, status=status, doing=live.watchdog.doing, pid=session.pid)

    async def _update(self, live: _Live, **changes: Any) -> None:
        live.row = replace(live.row, heartbeat=live.sign_at, updated_at=self._tools.clock.now(), **changes)
        row = live.row
        await self._tools.books(lambda s: s.update_session(row))
        self._publish(live)

    def _publish(self, live: _Live) -> None:
        if self._tools.state.newest == live.row.id:
            self._tools.records.current(live.row)
        self._tools.records.state(live.row)

    async def _note(self, live: _Live, kind: str, **data: Any) -> None:
        entry = Entry(self._tools.clock.now(), kind, self._tools.state.actor, self._lease.item.id, live.row.id, data)
        await self._tools.books(lambda s: s.note(entry))

    async def _finish(self, live: _Live, left: AgentExit, baseline: Mapping[str, Any]) -> SessionResult:
        stopped = live.stopped
        settled = self._desk.settled()
        ending = classify(left, stopped=stopped.reason if stopped else None, settled=settled)
        status = _final_status(self._desk.claim, stopped, left)
        row = replace(
            live.row,
            status=status,
            pid=None,
            doing="",
            ending=ending,
            ended_by=_ended_by(stopped, left),
        )
        facts = {
            "ending": ending,
            "ended_by": row.ended_by,
            "kind": self._lease.item.kind,
            "repo": self._workspace.repo.name,
            "stalls": int(status is SessionStatus.STALLED),
            "wall_seconds": round(live.lasted, 3),
        }
        metrics = await asyncio.to_thread(self._tools.meter.measure, row, baseline, facts)
        live.row = replace(row, metrics=metrics)
        # the files first: whoever sees the final status finds them
        self._tools.records.metrics(row.id, metrics)
        await self._preserve(live, left)
        await self._update(live)
        desk = self._desk
        return SessionResult(live.row, left, ending, stopped, desk.claim, desk.question, live.wip, desk.refused)

    async def _preserve(self, live: _Live, left: AgentExit) -> None:
        """The context file of contract 2, written at every end: what a person or a next session needs (H44)."""
        row, state = live.row, await self._tools.workspaces.state(self._workspace)
        told = await asyncio.to_thread(self._tools.meter.context, row)
        stopped = live.stopped.doing if live.stopped else None
        wip_ref = live.wip.ref if live.wip else None
        remains = Remains(self._workspace, state, told, self._desk.progress, wip_ref, stopped, left.detail)
        self._tools.records.context(row.id, preserved(row, remains))


def _final_status(claim: Claim | None, stopped: Finding | None, left: AgentExit) -> SessionStatus:
    """Contract 2: completed = complete_work(done) was accepted, whatever the gates will say."""
    if claim is not None and claim.status == "done":
        return SessionStatus.COMPLETED
    if stopped is not None:
        return {
            StopReason.TIMEOUT: SessionStatus.TIMEOUT,
            StopReason.STALLED: SessionStatus.STALLED,
            StopReason.STALLED_API: SessionStatus.STALLED,
            StopReason.STALLED_START: SessionStatus.STALLED,
            StopReason.PAUSE: SessionStatus.INTERRUPTED,
            StopReason.STOP: SessionStatus.INTERRUPTED,
        }.get(stopped.reason, SessionStatus.FAILED)
    return SessionStatus.KILLED if killed_from_outside(left) else SessionStatus.FAILED


def killed_from_outside(left: AgentExit) -> bool:
    """No result, and the tree, or agent-init itself (negative), was ended by a signal that we did not send.

    Where the reader failed first, whatever its reason, the signal was the end that it put to the process.
    """
    code = left.exit_code or 0
    return left.subtype is None and left.exception in (None, "ProcessError") and (code in (143, 137) or code < 0)


def _ended_by(stopped: Finding | None, left: AgentExit) -> str:
    if stopped is not None:
        return "operator" if stopped.reason in (StopReason.PAUSE, StopReason.STOP) else "watchdog"
    return "signal" if killed_from_outside(left) else "agent"
