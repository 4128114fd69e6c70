"""Every event by name: how loud it is, and what a person reads. One line an event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Level(StrEnum):
    """The words of iteration.log (contract 2). SUCCESS belongs to one event alone: a session that counts (H35)."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    SUCCESS = "SUCCESS"
    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Event:
    """`detail` events are shown when asked for: 1 with VERBOSE, 2 with DEBUG."""

    level: Level
    text: str
    detail: int = 0


def _info(text: str, detail: int = 0) -> Event:
    return Event(Level.INFO if detail == 0 else Level.DEBUG, text, detail)


def _warn(text: str) -> Event:
    return Event(Level.WARN, text)


def _error(text: str) -> Event:
    return Event(Level.ERROR, text)


EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        "run.begun": _info("Loop started"),
        "run.unclean": _warn("The loop before this one was killed"),
        "run.ended": _info("Loop ended"),
        "loop.idle": _info("No work available; waiting"),
        "loop.paused": _warn("Loop paused"),
        "worker.begun": _info("Worker process started"),
        "worker.ended": _info("Worker process ended"),
        "loop.stopping": _info("Loop stopping"),
        "clock.jumped": _warn("The clock jumped"),
        "component.failed": _error("A part of the loop failed"),
        "preflight": _warn("Found before the start"),
        "config.reloaded": _info("Configuration read again; the next attempt has it"),
        "config.rejected": _error("config.yaml is refused; the configuration before it stays"),
        "queue.absorbed": _info("state/queue.json was edited and taken in"),
        "tasks.absorbed": _info("tasks/*.md were edited and taken in"),
        "tasks.problem": _warn("tasks/*.md are left alone"),
        "queue.problem": _warn("state/queue.json is left alone"),
        "pause.opened": _warn("Pause begins"),
        "pause.changed": _warn("Pause goes on"),
        "pause.closed": _info("Pause ended"),
        "interrupt.raised": _warn("Interrupt raised; the loop pauses"),
        "interrupt.item": _warn("Item needs a person"),
        "decision.asked": _warn("A person is asked"),
        "decision.answered": _info("A question is answered"),
        "decision.skipped": _warn("Nobody answered in time; the item is skipped"),
        "decision.closed": _info("A question is closed: its item went on without an answer"),
        "decision.changed": _info("The deadline of a question goes on after the clock was set back", 1),
        "decision.problem": _warn("A decision file is left alone"),
        "item.added": _info("Item added"),
        "item.updated": _info("Item changed"),
        "item.moved": _info("Item moved", 1),
        "item.taken": _info("Item taken by a person"),
        "item.returned": _info("Item given back by a person"),
        "item.objected": _warn("Handed-in work is not good yet; it stays with its person"),
        "item.leased": _info("Item leased"),
        "item.rescued": _warn("Item rescued from a loop that ended"),
        "item.unsettled": _error("Item of a loop that ended could not be settled; tried again in a minute"),
        "evidence.written": _info("Evidence written", 1),
        "evidence.unwritten": _error("Evidence of finished work could not be written"),
        "item.undocumented": _error("Dossier of a parked item could not be written"),
        "item.verified": _info("Item verified"),
        "item.claimed": _info("Item claimed"),
        "attempt.phase": _info("Attempt goes on", 1),
        "attempt.failed": _error("Session failed"),
        "attempt.deferred": _warn("Session failed; nothing counted, tried again later"),
        "attempt.objected": _info("Findings of a review go back to the agent"),
        "attempt.interrupted": _warn("Session interrupted"),
        "attempt.asked": _warn("Session waits for a person"),
        "session.opened": _info("Session started"),
        "session.updated": _info("Session state", 2),
        "session.ended": _info("Session ended"),
        "session.succeeded": Event(Level.SUCCESS, "Session completed successfully"),
        "session.stopping": _info("Session is being stopped"),
        "session.stalled": _warn("Session stalled; it is being stopped"),
        "session.overrun": _warn("Session is being stopped"),
        "session.strained": _warn("Session is beyond a bound of watch"),
        "session.alert": _error("Alert: session is beyond a critical bound of watch"),
        "session.relieved": _info("Session is within its bounds again"),
        "loop.strained": _warn("The loop's own process is beyond a bound of watch"),
        "loop.alert": _error("Alert: the loop's own process is beyond a critical bound of watch"),
        "loop.relieved": _info("The loop's own process is within its bounds again"),
        "session.saved": _info("Uncommitted work saved", 1),
        "workspace.pruned": _info("A workspace that nobody needs was saved and removed"),
        "workspace.left": _warn("A folder of the attempt could not be removed"),
        "workspace.touched": _warn("Another workspace changed while a session ran that nothing fences in"),
        "checkout.moved": _warn("A branch or HEAD of the checkout moved while a session ran"),
        "checkout.touched": _warn("Files of the checkout changed while a session ran that nothing fences in"),
        "checkout.unseen": _warn("The checkout could not be looked at beside a session"),
        "transcript.scrubbed": _info("Transcript of finished work looked through for secrets", 1),
        "transcript.left": _warn("Transcript of finished work could not be looked through; tried again in an hour"),
        "refs.dropped": _info("Refs of work that was finished long ago were deleted"),
        "backup.made": _info("Backup made and read back", 1),
        "backup.failed": _error("No backup could be made; those that are there stay"),
        "backup.dropped": _info("Old backups were removed", 1),
        "state.restored": _warn("The state was brought back from a backup"),
        "refs.left": _warn("Refs of finished work could not be looked after"),
        "session.unwritten": _warn("The files of a session could not be written"),
        "session.unsaved": _error("Uncommitted work could not be saved"),
        "session.unsealed": _error("Claimed work could not be sealed"),
        "session.ended_by_operator": _warn("Session is ended by an operator"),
        "session.marked": _info("Session marked by hand"),
        "session.progress": _info("Progress", 1),
        "session.claimed": _info("Agent reports the end of its work", 1),
        "session.asked": _info("Agent asks", 1),
        "review.begun": _info("Review begins"),
        "review.approved": _info("Review approves"),
        "review.objected": _warn("Review has findings"),
        "review.silent": _warn("Review gave no verdict"),
        "integration.intended": _info("Integration begins", 1),
        "integration.applied": _info("Integrated"),
        "integration.proved": _info("Kept work proved again on the branch of today", 1),
        "integration.taken": _info("Integrated after waiting"),
        "integration.held": _warn("Integration waits"),
        "integration.waits": _info("Integration still waits", 1),
        "integration.aborted": _warn("Integration given up"),
        "integration.undone": _warn("Integrated work taken back"),
        "integration.batched": _info("Gates ran once for several pieces of work"),
        "integration.tried": _info("A way out of a conflict was tried", 1),
        "integration.pushed": _info("Pushed"),
        "integration.rejected": _info("Push rejected; fetched, merged and proved again", 1),
        "integration.unpushed": _warn("Not pushed yet; tried again by itself"),
        "integration.kept": _info("Not pushed"),
        "followup.done": _info("Done after an integration"),
        "followup.waits": _warn("Outstanding after an integration; tried again by itself"),
        "followup.failed": _error("Failed after an integration; what was built before stays in use"),
        "followup.unlogged": _error("The log of commits could not be written; it is brought up to date by itself"),
        "followup.dropped": _info("Not wanted any more after an integration"),
        "range.claimed": _info("Range is looked at", 1),
        "range.clean": _info("Range is clean", 1),
        "range.failed": _warn("Range fails at a position"),
        "range.released": _info("Range is free again", 1),
        "schedule.begun": _info("Schedule is looked after from now on", 1),
        "schedule.over": _info("Schedule is configured no more", 1),
        "schedule.fired": _info("Schedule is due"),
        "schedule.folded": _info("Schedule is due; what is open takes it in"),
        "schedule.unfired": _error("Schedule could not fire; tried again by itself"),
        "schedule.running": _info("Scheduled command begins", 1),
        "schedule.done": _info("Scheduled command done"),
        "schedule.failed": _error("Scheduled command failed"),
        "schedule.dropped": _info("Scheduled command not wanted any more"),
        "schedule.cut_off": _warn("Scheduled command called off; begun again by the next loop"),
        "library.warning": _warn("Library warning"),
        "library.error": _error("Library error"),
    }
)

_COMPONENTS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("run", "pause", "interrupt", "clock", "component", "config", "preflight"), "loop")
    | {"item": "queue", "decision": "queue", "attempt": "worker", "review": "worker"}
    | {"integration": "integrator", "followup": "integrator", "library": "libraries"}
)
_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")


def known(kind: str) -> Event:
    """The event of that name; an unlisted one reads as its name does."""
    return EVENTS.get(kind) or _info(kind.replace(".", " ").replace("_", " "))


def component(kind: str) -> str:
    """Whose log keeps events of this name: state/logs/<component>.log."""
    noun = kind.partition(".")[0]
    found = _COMPONENTS.get(noun, noun)
    return found if _WORD.fullmatch(found) else "loop"
