"""What simulated agents do: scripts for the scripted agent, drawn from the seed and the mood of the day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any

from harness.agents.frames import FrameLog
from harness.agents.steps import ABORTED, CRASHED, FACTS, SUCCESS, Over, Stage, Step
from harness.model.events import (
    AgentExit,
    Alive,
    Denied,
    Limited,
    Requesting,
    Retrying,
    SessionEvent,
    StopReason,
    Streaming,
    ToolEnded,
    ToolStarted,
    TurnEnded,
)
from harness.ports import Clock
from harness.testing.repositories import FILES, Folder

TERMINATED = AgentExit(exit_code=143)
STILLBORN = FACTS["stalled_start"]
WINDOWS = ("five_hour", "seven_day")
SPINS = 6
SLOW_SECONDS = 400.0

# Weights of what a session comes to. What is not named in a mood has the weight it has on a good day.
GOOD: Mapping[str, float] = MappingProxyType(
    {
        "well": 60, "hasty": 3, "empty": 2, "ask": 3, "blocked": 2, "add": 5, "unreported": 3, "max_turns": 1,
        "budget": 1, "refusal": 1, "context_full": 1, "crashed": 2, "hang": 1.5, "hang_asking": 1, "slow": 0.5,
        "spin": 1, "killed": 1, "ended": 1, "denied": 1, "lingers": 1, "refused_key": 0.3, "limit": 1,
        "usage_limit": 0.5, "throttled": 1, "api_down": 1, "auth": 0.3, "billing": 0.2, "model_unknown": 0.5,
        "cli_missing": 0.2, "sandbox_missing": 0.2, "policy_wall": 0.5, "protocol": 0.5, "stalled_start": 0.5,
        "disk_full": 0.3, "memory": 0.3, "unborn": 1, "near": 0.7, "eased": 0.7, "sits_out": 0.5,
    }
)  # fmt: skip
MOODS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "good": GOOD,
        "dull": {**GOOD, "well": 6, "unreported": 20, "empty": 20, "max_turns": 15, "refusal": 10, "hasty": 10},
        "outage": {**GOOD, "well": 5, "api_down": 40, "hang_asking": 10, "refused_key": 3},
        "limited": {
            **GOOD,
            "well": 10,
            "limit": 20,
            "usage_limit": 5,
            "throttled": 15,
            "near": 15,
            "eased": 8,
            "sits_out": 15,
        },
        "unborn": {**dict.fromkeys(GOOD, 0.05), "well": 1, "unborn": 15},
        "shaky": {**GOOD, "well": 15, "crashed": 15, "killed": 10, "protocol": 5, "memory": 2},
    }
)


class Playwright:
    """Makes the script of each session. `folder_of` gives the workspace of an item as its agent sees it."""

    def __init__(self, random: Random, folder_of: Callable[[str], Folder]) -> None:
        self.mood = "good"
        self.on_limit: Callable[[str], None] = lambda _session: None
        self.on_news: Callable[[str], None] = lambda _session: None
        self._random = random
        self._folder_of = folder_of
        self._found = 0

    def script(self, item: str) -> tuple[str, Sequence[Step]]:
        """The name of the plot and its steps."""
        weights = MOODS[self.mood]
        plot = self._random.choices(tuple(weights), tuple(weights.values()))[0]
        opening = [self._rest() for _ in range(self._random.randint(0, 2))]
        return plot, [*opening, *self._plot(plot, item)]

    def last_words(self) -> AgentExit | None:
        """What is seen of an agent that never said a word; None if it hangs."""
        return self._random.choice((STILLBORN, CRASHED, FACTS["protocol"], None))

    def _plot(self, plot: str, item: str) -> Sequence[Step]:
        work = [self._write(item), self._rest(), self._commit(item)]
        done: Step = {"complete": "all of it"}
        match plot:
            case "well":
                return [*work, {"progress": "half of it"}, done]
            case "hasty":
                return [self._write(item), done, self._commit(item), done]
            case "empty":
                return [done, done]
            case "ask":
                return [*work[:2], {"ask": {"question": "which?", "options": ["a", "b"]}}]
            case "blocked":
                return [{"blocked": "cannot be done"}]
            case "add":
                self._found += 1
                kind = self._random.choice(("default", "note"))
                extra = {"id": f"found-{self._found}", "title": "found on the way", "kind": kind}
                return [{"add": extra}, *work, done]
            case "hang":
                return [self._write(item), {"hang": True}]
            case "limit" | "sits_out" | "near" | "eased":
                return self._limited(plot, work, done)
            case "slow":
                return [self._write(item), {"sleep": SLOW_SECONDS}, done]
            case "killed" | "ended":
                return [self._write(item), _over(CRASHED if plot == "killed" else TERMINATED)]
            case _ if plot in _SCENES:
                return [*work[:2], _SCENES[plot]]
            case _:
                return [*work[: self._random.randint(0, 3)], {"exit": plot}]

    def _rest(self) -> Step:
        return {"sleep": round(self._random.expovariate(1 / 3), 3)}

    def _write(self, item: str) -> Step:
        path = self._random.choice(FILES)

        async def write(stage: Stage) -> None:
            stage.emit(Alive())
            folder = self._folder_of(item)
            folder.dirty.add(path)
            folder.document = True

        return write

    def _commit(self, item: str) -> Step:
        async def commit(stage: Stage) -> None:
            stage.emit(Alive())
            folder = self._folder_of(item)
            if folder.dirty:
                folder.paths |= folder.dirty
                folder.dirty.clear()
                folder.commits.append(f"{len(folder.commits) + 1:040x}")

        return commit

    def _limited(self, plot: str, work: Sequence[Step], done: Step) -> Sequence[Step]:
        """What the API says of the account's limits, and what comes of the session."""
        seconds = self._random.uniform
        match plot:
            case "limit":
                return [work[0], self._refused, {"limit": seconds(10, 600)}]
            case "sits_out":
                return [*work, self._sits_out(seconds(2, 30)), done]
            case "near":
                return [self._told("allowed_warning", self._random.uniform(0.7, 0.95), seconds(-60, 1200)), *work, done]
            case _:
                return [self._told("allowed", 0.2, seconds(-60, 1200)), *work, done]

    async def _refused(self, stage: Stage) -> None:
        self.on_limit(stage.brief.session)

    def _told(self, status: str, used: float, seconds: float) -> Step:
        window = self._random.choice(WINDOWS)

        async def told(stage: Stage) -> None:
            self.on_news(stage.brief.session)
            resets_at = stage.clock.now() + timedelta(seconds=seconds)
            stage.emit(Limited(status, window, resets_at, used))

        return told

    def _sits_out(self, seconds: float) -> Step:
        """The CLI waits for the end of the limit by itself, and is answered then."""

        async def sits_out(stage: Stage) -> None:
            stage.emit(Limited("rejected", "five_hour", stage.clock.now() + timedelta(seconds=seconds), 1.0))
            stage.emit(Retrying(429, "rate_limit", seconds, 1))
            await self._refused(stage)
            await stage.wait(seconds + 7.0)
            stage.emit(Requesting())
            stage.emit(Streaming())

        return sits_out


class Silence(FrameLog):
    """Frames that nobody will read."""

    def __init__(self) -> None: ...
    def write(self, frame: Mapping[str, Any], at: datetime) -> None: ...
    def close(self) -> None: ...


class Unborn:
    """Implements ports.AgentSession: a process that never says its first word. `facts` None = it hangs."""

    pid: int | None = None

    def __init__(self, clock: Clock, facts: AgentExit | None) -> None:
        self._clock = clock
        self._facts = facts
        self._stopped = asyncio.Event()

    async def events(self) -> AsyncIterator[SessionEvent]:
        if self._facts is None:
            await self._stopped.wait()
        else:
            await self._clock.sleep(1.0)
        silence: tuple[SessionEvent, ...] = ()
        for event in silence:
            yield event

    async def stop(self, reason: StopReason, *, before_kill: Callable[[], Awaitable[None]] | None = None) -> None:  # noqa: ARG002 - the port's signature; nobody is there to hear why
        if before_kill is not None and not self._stopped.is_set():
            await before_kill()
        self._stopped.set()

    async def exit(self) -> AgentExit:
        return self._facts or STILLBORN


def _over(facts: AgentExit) -> Step:
    async def over(_stage: Stage) -> None:
        raise Over(facts)

    return over


async def _hang_asking(stage: Stage) -> None:
    stage.emit(Requesting())
    await stage.wait(None)


async def _spin(stage: Stage) -> None:
    for number in range(SPINS):
        stage.emit(ToolStarted(f"t{number}", "Bash", "make", "same", 60.0))
        stage.emit(ToolEnded(f"t{number}", ok=False, digest="same"))
        await stage.wait(1.0)
    await stage.wait(None)


async def _denied(stage: Stage) -> None:
    stage.emit(Denied("Bash", "push is not allowed", ask=True))
    await stage.wait(5.0)
    raise Over(SUCCESS)


async def _lingers(stage: Stage) -> None:
    """A result came, but the agent does not end."""
    await stage.desk.complete_work("done", "all of it")
    stage.emit(TurnEnded("0"))
    await stage.wait(None)
    raise Over(ABORTED)


async def _refused_key(stage: Stage) -> None:
    stage.emit(Retrying(401, "authentication_failed", 1.0, 1))
    await stage.wait(None)


_SCENES: Mapping[str, Step] = MappingProxyType(
    {
        "hang_asking": _hang_asking,
        "spin": _spin,
        "denied": _denied,
        "lingers": _lingers,
        "refused_key": _refused_key,
    }
)
