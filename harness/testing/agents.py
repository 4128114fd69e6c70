"""What simulated agents do: scripts for the scripted agent, drawn from the seed and the mood of the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType

from harness.agents.steps import ABORTED, CRASHED, SUCCESS, Over, Stage, Step
from harness.model.events import AgentExit, Alive, Denied, Requesting, Retrying, ToolEnded, ToolStarted, TurnEnded
from harness.testing.repositories import FILES, Folder

TERMINATED = AgentExit(exit_code=143)
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
        "disk_full": 0.3, "memory": 0.3,
    }
)  # fmt: skip
MOODS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "good": GOOD,
        "dull": {**GOOD, "well": 6, "unreported": 20, "empty": 20, "max_turns": 15, "refusal": 10, "hasty": 10},
        "outage": {**GOOD, "well": 5, "api_down": 40, "hang_asking": 10, "refused_key": 3},
        "limited": {**GOOD, "well": 10, "limit": 20, "usage_limit": 5, "throttled": 15},
        "shaky": {**GOOD, "well": 15, "crashed": 15, "killed": 10, "protocol": 5, "memory": 2},
    }
)


class Playwright:
    """Makes the script of each session. `folder_of` gives the workspace of an item as its agent sees it."""

    def __init__(self, random: Random, folder_of: Callable[[str], Folder]) -> None:
        self.mood = "good"
        self._random = random
        self._folder_of = folder_of
        self._found = 0

    def script(self, item: str) -> tuple[str, Sequence[Step]]:
        """The name of the plot and its steps."""
        weights = MOODS[self.mood]
        plot = self._random.choices(tuple(weights), tuple(weights.values()))[0]
        opening = [self._rest() for _ in range(self._random.randint(0, 2))]
        return plot, [*opening, *self._plot(plot, item)]

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
            case "limit":
                return [self._write(item), {"limit": self._random.uniform(10, 600)}]
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
