"""`schedule run`: a person fires a schedule, with the loop running or not (C22)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from harness.app.build import Parts
from harness.app.merging import with_parts
from harness.app.scheduling import section_of
from harness.engine.recurring import Ran
from harness.model.home import Home
from harness.model.schedule import HAND, NOTHING, Due, Firing
from harness.ops.answers import Change


def fire_now(home: Home, environ: Mapping[str, str], actor: str, name: str) -> Change:
    """Raises NotFound for no such schedule, Busy if its command runs already, and HarnessError."""
    return with_parts(home, environ, lambda parts: _fire(parts, actor, name))


async def _fire(parts: Parts, actor: str, name: str) -> Change:
    # a full disk is said at once: nobody waits it out for a command
    parts.state.stop("a command ends by itself")
    section, due = section_of(parts.planner, name), Due(f"{HAND}-{secrets.token_hex(4)}")
    scheduling = parts.scheduling
    if section.command is not None:
        ran = await scheduling.commands.tools.at_once(name, due, actor)
        return _ended(name, ran)
    now = parts.clock.now()
    item = scheduling.scheduler.calendar.item(section.rule(name), due, NOTHING, now)
    made = await parts.books(lambda s: s.fire(name, due, item, seq=None, actor=actor, now=now))
    assert made is not None  # nobody has that slot
    return _added(made)


def _added(made: Firing) -> Change:
    applied = made.state == "added"
    detail = f"{made.item} added" if applied else made.reason
    return Change(made.schedule, applied=applied, detail=detail, exit_code=0 if applied else 1)


def _ended(name: str, ran: Ran) -> Change:
    word = f"{name} done in" if ran.ok else f"{name} failed:"
    log = f"\nlog {ran.log}" if ran.log else ""
    return Change(name, applied=ran.ok, detail=f"{word} {ran.reason}{log}", exit_code=0 if ran.ok else 1)
