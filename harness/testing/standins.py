"""Stand-ins for what surrounds the engine and has no part in its decisions: plans, prompts, figures, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from harness.engine.guards import Sources
from harness.engine.plan import Judgement, Plan, PromptRequest, Proof
from harness.model.brief import Limits
from harness.model.errors import DiskFull, NotFound
from harness.model.session import SessionRow
from harness.model.verdict import Verdict
from harness.model.vitals import Rule
from harness.model.work import WorkItem, WorkState
from harness.ports import Agent, Prompt, RepositoryRef, Store
from harness.store import rows
from harness.store.sqlite import SqliteStore
from harness.testing.money import MOST_USD, Money
from harness.testing.virtual import Process
from harness.testing.world import REPOSITORIES, THRESHOLDS, Disk, World

T = TypeVar("T")

LIMITS = Limits(
    session_timeout_seconds=180, stall_threshold_seconds=40, retry_wait_seconds=60, start_seconds=10,
    idle_after_result_seconds=5, max_cost_usd=MOST_USD,
)  # fmt: skip
MODELS = {"commit": "large", "document": "small", "none": "small"}
LOG_PAGES = 10_000
_QUEUED = """
SELECT id FROM items
WHERE state IN ('leased', 'ready', 'delayed', 'blocked', 'waiting') AND state IN (SELECT value FROM json_each(:states))
ORDER BY state <> 'leased', fresh, rank_at, seq LIMIT :most"""
_ENDED = """
SELECT id FROM items INDEXED BY items_finished
WHERE state IN ('done', 'parked', 'cancelled') AND state IN (SELECT value FROM json_each(:states))
ORDER BY updated_at DESC, seq DESC LIMIT :most"""
JUDGEMENTS: Mapping[str, float] = MappingProxyType({"passed": 90, "gate_failed": 7, "gate_broken": 1, "base_red": 1})


@dataclass(frozen=True, slots=True)
class Kind:
    """How items of one kind are judged and integrated."""

    expects: str = "commit"
    gates: tuple[str, ...] = ("tests",)
    integrate: str = "verified"


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "default": Kind(),
        "note": Kind("document"),
        "chore": Kind("none", ()),
        "claim": Kind(gates=(), integrate="claimed"),
        "unjudged": Kind(gates=()),
        "keep": Kind(integrate="never"),
    }
)


@dataclass(frozen=True, slots=True)
class SimulatedPlanner:
    """Implements engine.plan.Planner."""

    agent: Agent

    def plan(self, item: WorkItem) -> Plan:
        name, kind = item.repo or REPOSITORIES[0], KINDS.get(item.kind, KINDS["default"])
        if name not in REPOSITORIES:
            raise NotFound(f"no repository {name}")
        return Plan(
            repo=RepositoryRef(name, Path("/simulated") / name, "main"),
            branch="main",
            kind=item.kind,
            expects=kind.expects,
            agent=self.agent,
            limits=LIMITS,
            options={"model": MODELS[kind.expects]},
            gates=kind.gates,
            setup=(),
            integrate=kind.integrate,
            push=False,
            trailers=(),
        )


class SimulatedComposer:
    """Implements engine.plan.Composer."""

    def compose(self, request: PromptRequest) -> Prompt:
        return Prompt(f"work on {request.item.id}", "simulated", "0" * 64)


class SimulatedSurroundings:
    """Implements engine.plan.Surroundings."""

    def agent(self, session: str, *, home: Path, tmp: Path) -> dict[str, str]:
        return {"HOME": str(home), "TMPDIR": str(tmp), "SESSION": session}

    def equipment(self, plan: Plan, workspace: Path) -> Mapping[str, str]:
        del plan, workspace
        return {}

    async def prepare(self, plan: Plan, workspace: Path, session: str, log: Path) -> str | None:
        del plan, workspace, session, log
        return None


@dataclass(frozen=True, slots=True)
class SimulatedMeter:
    """Implements engine.plan.Meter: what a session cost was drawn when it began."""

    money: Money

    def baseline(self, row: SessionRow) -> Mapping[str, Any]:
        del row
        return {}

    def measure(self, row: SessionRow, baseline: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
        del baseline
        cost = self.money.costs.get(row.id)
        return {"session": row.id, "cost_usd": None if cost is None else str(cost), **facts}

    def context(self, row: SessionRow) -> Mapping[str, Any]:
        del row
        return {}

    def has_conversation(self, row: SessionRow) -> bool:
        del row
        return True


@dataclass(frozen=True, slots=True)
class SimulatedRecords:
    """Implements ports.Records; only context files are ever read again."""

    world: World

    def current(self, row: SessionRow) -> None: ...
    def state(self, row: SessionRow) -> None: ...

    def metrics(self, session: str, document: Mapping[str, Any]) -> Path:
        del document
        return self.world.home.session(session) / "metrics.json"

    def context(self, session: str, document: Mapping[str, Any]) -> Path:
        self.world.contexts[session] = document
        return self.world.home.session(session) / "context.json"

    def read_context(self, session: str) -> Mapping[str, Any] | None:
        return self.world.contexts.get(session)


@dataclass(frozen=True, slots=True)
class SimulatedProver:
    """Implements engine.plan.Prover: gates take a while and are not always green."""

    world: World
    process: Process

    async def prove(self, proof: Proof) -> Judgement:
        judging = self.world.judging
        await self.process.sleep(round(judging.expovariate(1 / 4), 3))
        said = judging.choices(tuple(JUDGEMENTS), tuple(JUDGEMENTS.values()))[0]
        verdict = {"passed": "passed", "gate_broken": "broken"}.get(said, "failed")
        verdicts = tuple(Verdict(gate, verdict, 1.0, commit=proof.commit) for gate in proof.plan.gates)
        return Judgement(verdicts) if said == "passed" else Judgement(verdicts, said, f"{said}: evidence")


@dataclass(frozen=True, slots=True)
class SimulatedProcesses:
    """Implements ports.Processes: locks and agents of the simulated machine."""

    world: World

    def owner_is_dead(self, owner: str) -> bool:
        return owner not in self.world.locks

    def session_is_dead(self, session: str) -> bool:
        return session not in self.world.living

    def rebooted(self, boot: str | None) -> bool:
        del boot
        return False

    async def end_session(self, row: SessionRow, *, term_seconds: float = 0.0) -> int:
        del term_seconds
        return self.world.end_session(row.id)


def simulated_sources(world: World, owner: str) -> Sources:
    """Budgets and readings are the world's; the spread of the throttle is drawn from the seed.

    A simulated process has no memory of its own to measure: the system does not tell.
    """
    return Sources(
        budgets=lambda: world.money.budgets,
        readings=lambda: world.readings,
        thresholds=lambda: THRESHOLDS,
        own_bytes=lambda: None,
        own_rule=Rule,
        spread=world.random(f"throttle of {owner}").random,
    )


class SimulatedStore(SqliteStore):
    """The real store on a disk that may be full."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._disk = disk
        super().__init__(path)
        # processes die here, machines do not: what was written is there, and in memory a long log costs nothing
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")

    @contextmanager
    def together(self) -> Iterator[None]:
        if self._disk.full:
            raise DiskFull(f"no space left writing {self.path}")
        with super().together():
            yield

    def first(self, states: Sequence[WorkState], most: int) -> list[str]:
        """The first items in some states, in the order of the queue: their ids alone."""
        names, found = rows.names(states), self._connection.execute
        queued = [row["id"] for row in found(_QUEUED, {"states": names, "most": most})]
        ended = found(_ENDED, {"states": names, "most": most - len(queued)})
        return [*queued, *(row["id"] for row in ended)]


class SimulatedBooks:
    """Implements ports.Books: in order, and the process may die before a call or between its commit and its answer."""

    def __init__(self, process: Process, store: Store) -> None:
        self._process = process
        self._store = store

    async def __call__(self, call: Callable[[Store], T]) -> T:
        await self._process.reach()
        try:
            result = call(self._store)
        finally:
            self._store.written()
        await self._process.breathe()
        return result
