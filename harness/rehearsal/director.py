"""Decides what a request is answered with: which turn of which session, and which fault comes before it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from harness.rehearsal.conversation import Request, place_mark, played
from harness.rehearsal.scenario import Fault, Scenario, Session, Turn, Usage

NOTHING_LEFT = Turn(text="Nothing more to do.")
NO_SCRIPT = Fault(status=400, message="no session of the scenario matches this prompt, and none is the default")
SCRIPT_OVER = Fault(status=400, message="the script of this session has no further turn")
NO_FAULT = Fault()


@dataclass(frozen=True)
class Cue:
    """What to play: the turn with its index in the session, the fault that meets it, and the usage to bill."""

    turn: Turn
    index: int
    fault: Fault = NO_FAULT
    side: bool = False

    @property
    def usage(self) -> Usage:
        """The numbers to bill. Those the scenario leaves out grow with the turn, as a real context does."""
        given = self.turn.usage
        said = len(self.turn.text) + sum(len(tool.raw or str(tool.input)) for tool in self.turn.tools)
        return given.model_copy(
            update={
                "input": 1000 + 100 * self.index if given.input is None else given.input,
                "output": max(8, said // 4) if given.output is None else given.output,
            }
        )


@dataclass
class Director:
    """Plays a scenario. Holds only what the history cannot tell: how often a fault was met, which scripts are taken."""

    scenario: Scenario
    now: Callable[[], float] = time.monotonic
    _met: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    _since: dict[tuple[str, int, str], float] = field(default_factory=dict)
    _cast: dict[str, int | None] = field(default_factory=dict)
    _latest: dict[str, int | None] = field(default_factory=dict)
    _taken: Counter[int] = field(default_factory=Counter)

    def cue(self, request: Request) -> Cue:
        """The answer to one request; asking again for the same turn uses up its faults, not the turn."""
        number = self._session_of(request)
        if request.side:
            return _side(request, number, self._session(number))
        session = self._session(number)
        if number is None or session is None:
            return Cue(NOTHING_LEFT, 0, NO_SCRIPT)
        index = played(request, session)
        turn = _turn_at(session, index)
        if turn is None:
            return Cue(NOTHING_LEFT, index, SCRIPT_OVER if session.then == "error" else NO_FAULT)
        return self._with_fault(Cue(turn, index), request, session)

    def _session(self, number: int | None) -> Session | None:
        return None if number is None else self.scenario.sessions[number]

    def _session_of(self, request: Request) -> int | None:
        if request.place:
            return request.place[0]
        if request.side:
            # Compaction may leave out the first prompt, so its conversation is known by id alone.
            return self._latest.get(request.conversation)
        known = f"{request.conversation} {request.prompt[:200]}"
        if known not in self._cast:
            self._cast[known] = self._choose(request.prompt)
        self._latest[request.conversation] = self._cast[known]
        return self._cast[known]

    def _choose(self, prompt: str) -> int | None:
        for number, session in enumerate(self.scenario.sessions):
            free = session.times is None or self._taken[number] < session.times
            if free and session.takes(prompt):
                self._taken[number] += 1
                return number
        return None

    def _with_fault(self, cue: Cue, request: Request, session: Session) -> Cue:
        own = [cue.turn.fault] if cue.turn.fault else []
        named = [(f"session {number}", -1, fault) for number, fault in enumerate(session.faults)]
        for name, index, fault in [*named, *(("turn", cue.index, fault) for fault in own)]:
            if self._active((request.conversation, index, name), fault):
                return _spoilt(cue, fault)
        return cue

    def _active(self, key: tuple[str, int, str], fault: Fault) -> bool:
        self._met[key] += 1
        since = self._since.setdefault(key, self.now())
        spent = fault.times is not None and self._met[key] > fault.times
        over = fault.until_seconds is not None and self.now() - since >= fault.until_seconds
        return not spent and not over


def _turn_at(session: Session, index: int) -> Turn | None:
    if session.repeat:
        return session.turns[index % len(session.turns)]
    return session.turns[index] if index < len(session.turns) else None


def _spoilt(cue: Cue, fault: Fault) -> Cue:
    """A refusal and an empty answer are replies of the model itself, so they replace the turn."""
    if fault.reply == "refusal":
        return replace(cue, turn=Turn(stop_reason="refusal", usage=cue.turn.usage), fault=fault)
    if fault.reply == "empty":
        return replace(cue, turn=Turn(usage=cue.turn.usage), fault=fault)
    return replace(cue, fault=fault)


def _side(request: Request, number: int | None, session: Session | None) -> Cue:
    if request.compacting and number is not None and session is not None:
        mark = place_mark(number, played(request, session))
        return Cue(Turn(text=f"<summary>\n{mark}\nThe work so far, in short.\n</summary>"), 0, side=True)
    return Cue(Turn(text='{"title": "Rehearsal"}' if request.titling else "ok"), 0, side=True)
