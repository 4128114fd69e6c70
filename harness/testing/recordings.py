"""Session logs as the watchdog met them: frames with their seconds, and whether the session was still alive after them.

A log tells when each frame came (`_at`) and, by the answer to our interrupt, when the loop stepped in; what came after
that was no longer the agent's own doing and is left out. The session's state beside it (`<id>.json`) tells when it was
started and how it ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from harness.model.errors import Usage

Frame = Mapping[str, Any]
HUNG = frozenset({"stalled", "stalled_api", "stalled_start", "spinning"})
CIRCLING = "spinning"

TAIL_INDEX = 0.7
"""Of the Pareto distribution that stretches gaps: below 1, its mean is infinite."""
AT_THE_BOUND = 0.1
START_SECONDS = 45.0
API_SECONDS = 300.0
TOOL_SECONDS, DESK_SECONDS = 300.0, 30.0
BASH_SECONDS, BASH_MOST_SECONDS = 600.0, 3600.0
IDLE_SECONDS = 15.0
SUBAGENT_SECONDS = 600.0
"""The longest silences that we hold for healthy, by what is open: the CLI's start, an answer of the API, a tool without
a limit of its own, our own tools, Bash by its own limit, a step of the CLI itself, an answer to a subagent (those are
not streamed)."""


@dataclass(frozen=True, slots=True)
class Recording:
    """`frames` with seconds since the start. `hung`: it would never have ended by itself; None = the log does not tell,
    it was alive at least up to its last frame. `circling`: it was hung while frames still came.
    """

    name: str
    frames: tuple[tuple[float, Frame], ...]
    hung: bool | None
    circling: bool = False

    @property
    def last(self) -> float:
        return self.frames[-1][0] if self.frames else 0.0


def load(log: Path) -> Recording:
    """A recording from `X.log` and, if it is there, `X.json` beside it. Raises Usage for a file that is no session log.

    Lines that are no frame are passed over, as they were when the session ran.
    """
    try:
        lines = log.read_bytes().splitlines()
    except OSError as exc:
        raise Usage(f"cannot read {log}: {exc.strerror}", hint="name session logs: docs/sessions/*.log") from exc
    stamped = [(at, frame) for at, frame in map(_stamped, lines) if at is not None]
    state = _state(log.with_suffix(".json"))
    if not stamped and not state:
        raise Usage(f"{log} is no session log: no line has a time in `_at`", hint="docs/sessions/*.log")
    began = _moment(state.get("started_at")) or stamped[0][0]
    frames = ((max(0.0, (at - began).total_seconds()), frame) for at, frame in stamped)
    ending = state.get("ending")
    over = state.get("ended_by") == "agent"
    hung = True if ending in HUNG else False if over else None
    return Recording(log.stem, tuple(_untouched(frames)), hung, ending == CIRCLING)


def _stamped(line: bytes) -> tuple[datetime | None, Frame]:
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError):
        return None, {}
    return (_moment(frame.get("_at")), frame) if isinstance(frame, dict) else (None, {})


def _moment(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


def _state(path: Path) -> Mapping[str, Any]:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _untouched(frames: Iterator[tuple[float, Frame]]) -> Iterator[tuple[float, Frame]]:
    """Up to the answer to our interrupt: the only answer we ask for after the start."""
    begun = False
    for at, frame in frames:
        if begun and frame.get("type") == "control_response":
            return
        begun = begun or (frame.get("type"), frame.get("subtype")) == ("system", "init")
        yield at, frame


# --- made of recorded ones --------------------------------------------------------------------------------------------


def stretched(recording: Recording, seed: int) -> Recording:
    """The same session on a slow night: gaps times heavy-tailed draws, each within what is healthy at that place."""
    random, now, frames = Random(f"{recording.name} {seed}"), 0.0, []  # noqa: S311 - repeatable, not secret
    before, silence = 0.0, _Silence()
    for at, frame in recording.frames:
        bound = silence.bound(now)
        wide = max(at - before, 0.01) * random.paretovariate(TAIL_INDEX)
        now += bound if random.random() < AT_THE_BOUND else min(wide, bound)
        before = at
        frames.append((now, frame))
        silence.take(frame, now)
    return replace(recording, name=f"{recording.name}~{seed}", frames=tuple(frames))


def cut(recording: Recording) -> Iterator[Recording]:
    """Sessions that fall silent for ever after each of its frames but the last."""
    for count in range(len(recording.frames)):
        yield Recording(f"{recording.name}[:{count}]", recording.frames[:count], hung=True)


class _Silence:
    """What is open, by the frames alone, and how long a healthy session may be silent then. Not the watchdog's code."""

    def __init__(self) -> None:
        self._tools: dict[str, tuple[float, float | None]] = {}
        self._begun = False
        self._api = API_SECONDS

    def take(self, frame: Frame, at: float) -> None:
        kind, subtype = frame.get("type"), frame.get("subtype")
        self._begun = self._begun or (kind, subtype) == ("system", "init")
        self._api = IDLE_SECONDS if kind == "result" or _own_step(frame) else API_SECONDS
        if (kind, subtype) == ("system", "api_retry"):
            self._api = float(frame.get("retry_delay_ms") or 0) / 1000 + API_SECONDS
        message = frame.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        for block in filter(_is_object, content if isinstance(content, list) else ()):
            if block.get("type") == "tool_use":
                self._tools[str(block.get("id"))] = (at, _own_limit(block))
            elif block.get("type") == "tool_result":
                self._tools.pop(str(block.get("tool_use_id")), None)

    def bound(self, now: float) -> float:
        """The first of the open tools to reach its limit ends; without one, an answer of the API comes, or a retry."""
        if not self._begun:
            return max(0.0, START_SECONDS - now)
        left = [began + limit - now for began, limit in self._tools.values() if limit is not None]
        if left:
            return max(0.0, min(left))
        return SUBAGENT_SECONDS if self._tools and self._api == API_SECONDS else self._api


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _own_step(frame: Frame) -> bool:
    """What follows is the CLI's own doing: a hook was asked, an answer of the API is whole."""
    event = frame.get("event")
    whole = isinstance(event, dict) and event.get("type") == "message_stop"
    return whole or frame.get("type") == "control_request"


def _own_limit(block: Mapping[str, Any]) -> float | None:
    """Seconds after which a tool has ended, by the CLI if not by itself; None for a subagent, which has no limit."""
    name = str(block.get("name"))
    if name in ("Agent", "Task"):
        return None
    if name != "Bash":
        return DESK_SECONDS if name.startswith("mcp__harness__") else TOOL_SECONDS
    arguments = block.get("input")
    asked = arguments.get("timeout") if isinstance(arguments, dict) else None
    return min(BASH_MOST_SECONDS, asked / 1000) if isinstance(asked, int | float) and asked > 0 else BASH_SECONDS
